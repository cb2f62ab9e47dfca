/* The vector variants of what is done inside a node; see isa.c. */
#ifndef GPUVM_ISA_H
#define GPUVM_ISA_H

#include "space.h"

enum isa_level { ISA_PLAIN, ISA_AVX2, ISA_AVX512 };

/* The widest variant that this machine runs, not above `most`. */
struct isa gpuvm__isa(enum isa_level most);

#endif
