/* What the Swift program opens the kernel's parts by: build/bench/opened/kernel.so. */
#include "../bind.h"
#include "../exec.h"
