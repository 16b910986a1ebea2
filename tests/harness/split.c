/* ProcessBundleSplit. The harness gives back what is behind the element in work, but only of a bundle in which a function waits for it:
 *
 *   until_split:now        and says so at once
 *   until_split:late       and says so after the bundle's response
 *   until_split:never      gives nothing back, goes on and does not answer
 *   until_split:nonsense   gives nothing back and answers with elements that it was never given
 *
 * Every other split is refused. */
#include <stdlib.h>
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "harness.h"
#include "wire/pb.h"

/* `first`: the first element that is given back; -1: none. */
static void answer_split(struct harness *harness, const char *split, int64_t first) {
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__ProcessBundleSplitResponse message = FN__PROCESS_BUNDLE_SPLIT_RESPONSE__INIT;
    Fn__ProcessBundleSplitResponse__ChannelSplit channel = FN__PROCESS_BUNDLE_SPLIT_RESPONSE__CHANNEL_SPLIT__INIT;
    Fn__ProcessBundleSplitResponse__ChannelSplit *channels = &channel;
    struct slice bytes;

    response.instruction_id = (char *)split;
    response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE_SPLIT;
    response.process_bundle_split = &message;
    if (first >= 0) {
        channel.last_primary_element = first - 1;
        channel.first_residual_element = first;
        message.n_channel_splits = 1;
        message.channel_splits = &channels;
    }
    bytes = pb_pack(&response.base, NULL);
    rpc_stream_send(harness->control, &bytes, 1);
}

/* Under the lock. */
static void split_now(struct bundle *bundle, const char *split, int64_t element_count) {
    bool is_late = strcmp(bundle->split_manner, "late") == 0;

    bundle->is_split = true;
    if (strcmp(bundle->split_manner, "now") == 0 || is_late)
        bundle->stop = bundle->taken;
    if (is_late)
        bundle->late_split = xstrdup(split);
    else if (strcmp(bundle->split_manner, "now") == 0)
        answer_split(bundle->harness, split, (int64_t)bundle->stop);
    else if (strcmp(bundle->split_manner, "nonsense") == 0)
        answer_split(bundle->harness, split, element_count + 1);
    pthread_cond_broadcast(&bundle->harness->changed);
}

void harness_split(struct harness *harness, const char *split, const char *instruction, int64_t element_count) {
    struct bundle *bundle;

    pthread_mutex_lock(&harness->lock);
    bundle = map_get_string(&harness->bundles, instruction);
    if (bundle && bundle->split_manner && !bundle->is_split && (int64_t)bundle->taken < element_count)
        split_now(bundle, split, element_count);
    else
        answer_split(harness, split, -1);
    pthread_mutex_unlock(&harness->lock);
}

bool bundle_take(struct bundle *bundle) {
    bool is_ours = bundle->taken < bundle->stop;

    bundle->taken += is_ours;
    return is_ours;
}

void bundle_answer_late_split(struct bundle *bundle) {
    if (bundle->late_split)
        answer_split(bundle->harness, bundle->late_split, (int64_t)bundle->stop);
}

int until_split(struct bundle *bundle, const struct node *node, const struct value *value) {
    static const char key[] = "\2k0";
    struct harness *harness = bundle->harness;

    if (cursor_left(&value->bytes) >= strlen(key) && memcmp(value->bytes.at, key, strlen(key)) == 0) {
        pthread_mutex_lock(&harness->lock);
        bundle->split_manner = node->text;
        while (!bundle->is_split && !harness->is_over)
            pthread_cond_wait(&harness->changed, &harness->lock);
        pthread_mutex_unlock(&harness->lock);
    }
    return node_emit(bundle, node, value);
}
