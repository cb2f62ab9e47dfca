/* zlib, for who reads and writes traces and vectors: gzopen() takes gzipped and plain files alike. */
#ifndef CZLIB_SHIM_H
#define CZLIB_SHIM_H

#include <zlib.h>

#endif
