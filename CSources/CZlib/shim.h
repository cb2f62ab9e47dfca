/* zlib for the readers of traces and vectors: gzopen() and gzread() take gzipped and plain files alike. */
#ifndef CZLIB_SHIM_H
#define CZLIB_SHIM_H

#include <zlib.h>

#endif
