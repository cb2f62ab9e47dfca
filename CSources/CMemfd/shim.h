/*
 * memfd_create(), and lseek()'s SEEK_DATA and SEEK_HOLE, for Swift, whose Glibc module leaves out what needs _GNU_SOURCE.
 */
#ifndef CMEMFD_SHIM_H
#define CMEMFD_SHIM_H

#include <linux/memfd.h>

int memfd_create(const char *name, unsigned flags);

enum { LSEEK_DATA = 3, LSEEK_HOLE = 4 };

#endif
