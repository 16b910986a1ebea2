/* The knobs of glibc's malloc, and how what is free goes back to the kernel. */
#ifndef BASE_ALLOCATOR_H
#define BASE_ALLOCATOR_H

/* Messages of some megabytes come and go all the time. glibc would give each one's memory back to the kernel, and every page of the next
 * would be a fault again; so it keeps some. Blocks travel between threads and live long or very briefly, so that few arenas do. Before
 * any thread starts. */
void allocator_tune(void);

/* Gives back what glibc and base/pages.h keep, which is what was freed last and what lies between blocks in use. Some milliseconds: for
 * when the last job, or the last worker, has gone. Any thread. */
void allocator_trim(void);

#endif
