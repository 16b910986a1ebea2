#include "jobserver/inspection/headline.h"

#include <stdbool.h>
#include <string.h>

char *headline(struct arena *arena, const char *text) {
    static const char traceback[] = "Traceback (most recent call last):";
    const char *best = text;
    bool is_behind_frames = false;

    if (!text)
        return (char *)"";
    if (strncmp(text, traceback, strlen(traceback)) == 0)
        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
            if (*line == ' ') {
                is_behind_frames = true;
            } else if (is_behind_frames && *line != '\n') {
                best = line;
                is_behind_frames = false;
            }
        }
    return arena_copy(arena, best, strcspn(best, "\n"));
}
