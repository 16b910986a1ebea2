/* What holds inside the engine between two events, whatever came: accounts of queues, shards, slots and timers are exact. */
#ifndef SIM_INSIDES_H
#define SIM_INSIDES_H

#include "world.h"

void insides_check(struct world *world);

#endif
