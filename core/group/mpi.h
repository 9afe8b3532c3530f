/* Kind mpi. Private to core/group. */
#ifndef VAGUS_CORE_GROUP_MPI_H
#define VAGUS_CORE_GROUP_MPI_H

#include <stdint.h>

/* Elements that one call of MPI is given, whose counts are ints; the tests take fewer. */
extern int64_t vg__mpi_most;

#endif
