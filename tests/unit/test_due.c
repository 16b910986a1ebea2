#include "engine/due.h"

#include "tests/unit/fixtures.h"

enum { NODES = 200 };

static void check_first(const struct due_heap *heap, const struct due_node *nodes) {
    const struct due_node *least = NULL, *first = due_first(heap);

    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].place && (!least || nodes[i].time < least->time))
            least = &nodes[i];
    ck_assert_int_eq(first != NULL, least != NULL);
    if (first)
        ck_assert_int_eq(first->time, least->time);
}

START_TEST(the_first_is_the_least_whatever_is_set_moved_and_removed)
{
    struct due_node nodes[NODES] = {0};
    struct due_heap heap = {0};
    unsigned state = 1;

    for (int i = 0; i < 5000; i++) {
        struct due_node *node;

        state = state * 1103515245 + 12345;
        node = &nodes[(state >> 8) % NODES];
        if ((state >> 24) % 3)
            due_set(&heap, node, (event_time)((state >> 4) % 97));
        else
            due_remove(&heap, node);
        check_first(&heap, nodes);
    }
    while (due_first(&heap)) {
        due_remove(&heap, due_first(&heap));
        check_first(&heap, nodes);
    }
    due_clear(&heap);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("due");
    TCase *tc = tcase_create("due");

    tcase_add_test(tc, the_first_is_the_least_whatever_is_set_moved_and_removed);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
