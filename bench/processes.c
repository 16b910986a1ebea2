#include "processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* The number behind `name` in a file of "name: number" lines; 0: there is none. */
static uint64_t read_field(const char *path, const char *name) {
    FILE *file = fopen(path, "r");
    uint64_t value = 0;
    char line[256];

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtoull(line + strlen(name) + 1, NULL, 10);
    if (file)
        fclose(file);
    return value;
}

/* /proc/PID/stat: what precedes the last ')' may hold spaces. */
static void read_times(pid_t pid, struct process_figures *ret) {
    char path[64], text[1024], *at;
    unsigned long user = 0, system = 0, children_user = 0, children_system = 0;
    double tick = (double)sysconf(_SC_CLK_TCK);
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = '\0';
    at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &user, &system,
                      &children_user, &children_system) != 4)
        return;
    ret->cpu_s = (double)(user + system) / tick;
    ret->children_cpu_s = (double)(children_user + children_system) / tick;
}

struct process_figures process_read(pid_t pid) {
    struct process_figures figures = {0};
    char path[64];

    read_times(pid, &figures);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    figures.peak_bytes = read_field(path, "VmHWM") << 10;
    snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
    figures.written_bytes = read_field(path, "write_bytes");
    return figures;
}

void process_read_descendants(pid_t pid, struct process_figures *sum) {
    char path[64];
    FILE *file;
    int child;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "r");
    while (file && fscanf(file, "%d", &child) == 1) {
        struct process_figures one = process_read(child);

        sum->cpu_s += one.cpu_s;
        sum->children_cpu_s += one.children_cpu_s;
        sum->written_bytes += one.written_bytes;
        sum->peak_bytes = MAX(sum->peak_bytes, one.peak_bytes);
        process_read_descendants(child, sum);
    }
    if (file)
        fclose(file);
}
