#include "base/mailbox.h"

#include <limits.h>

#include "tests/unit/fixtures.h"

struct message {
    struct list node;
    unsigned sender, number;
};

enum { SENDERS = 4, MESSAGES = 5000 };

struct sender {
    struct mailbox *mailbox;
    unsigned number;
};

static void *send_all(void *user) {
    const struct sender *sender = user;

    for (unsigned i = 0; i < MESSAGES; i++) {
        struct message *message = xcalloc(1, sizeof(*message));

        message->sender = sender->number;
        message->number = i;
        mailbox_post(sender->mailbox, &message->node);
    }
    return NULL;
}

START_TEST(every_message_arrives_and_each_senders_in_order)
{
    unsigned next[SENDERS] = {0}, total = 0;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    struct mailbox mailbox;

    mailbox_init(&mailbox);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, i};
        pthread_create(&threads[i], NULL, send_all, &senders[i]);
    }
    while (total < SENDERS * MESSAGES) {
        struct list taken, *node;

        list_init(&taken);
        ck_assert(mailbox_take(&mailbox, INT64_MAX, &taken));
        while ((node = list_pop(&taken))) {
            struct message *message = CONTAINER_OF(node, struct message, node);

            ck_assert_uint_eq(message->number, next[message->sender]++);
            total++;
            free(message);
        }
    }
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    mailbox_finish(&mailbox);
}
END_TEST

START_TEST(waiting_ends_at_the_deadline_whatever_it_is)
{
    static const int64_t deadlines_ns[] = {0, 1, INT64_MIN, -1};
    struct mailbox mailbox;
    struct list taken;

    mailbox_init(&mailbox);
    list_init(&taken);
    for (size_t i = 0; i < ARRAY_COUNT(deadlines_ns); i++)
        ck_assert(!mailbox_take(&mailbox, deadlines_ns[i], &taken));
    ck_assert(!mailbox_take(&mailbox, monotonic_now_ns() + 1000000, &taken));
    mailbox_finish(&mailbox);
}
END_TEST

START_TEST(lists_are_joined_in_order)
{
    struct message messages[5];
    struct list first, second, *node;
    unsigned want = 0;

    list_init(&first);
    list_init(&second);
    list_append_all(&first, &second);
    ck_assert(list_empty(&first));
    for (unsigned i = 0; i < 5; i++) {
        messages[i].number = i;
        list_append(i < 2 ? &first : &second, &messages[i].node);
    }
    list_append_all(&first, &second);
    ck_assert(list_empty(&second));
    while ((node = list_pop(&first)))
        ck_assert_uint_eq(CONTAINER_OF(node, struct message, node)->number, want++);
    ck_assert_uint_eq(want, 5);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mailbox");
    TCase *tc = tcase_create("mailbox");

    tcase_add_test(tc, every_message_arrives_and_each_senders_in_order);
    tcase_add_test(tc, waiting_ends_at_the_deadline_whatever_it_is);
    tcase_add_test(tc, lists_are_joined_in_order);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
