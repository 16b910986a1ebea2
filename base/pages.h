/* Pages of 16 KiB for arenas, cut from regions of 2 MiB for which the kernel is asked to use huge pages: grouped data touch hundreds of
 * megabytes of fresh memory, and a page fault for every 4 KiB of it costs as much as filling it.
 *
 *      region: [ header | page | page | ... 127 pages ]       aligned to its size, so that a page knows its region
 *
 * A region that is all free goes back to the kernel, but for a few in reserve. For what lives as long as a job's data: one page that stays
 * keeps two megabytes. Any thread may call. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

enum { PAGE_BYTES = 16 << 10 };

/* Contents undefined; aligned to PAGE_BYTES. Never NULL. */
void *page_alloc(void);
void page_free(void *page);
/* The reserve goes back to the kernel as well. */
void pages_trim(void);

#endif
