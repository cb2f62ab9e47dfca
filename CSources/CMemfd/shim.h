/*
 * memfd_create(), eventfd(), and lseek()'s SEEK_DATA and SEEK_HOLE, for Swift, whose Glibc module leaves them out.
 */
#ifndef CMEMFD_SHIM_H
#define CMEMFD_SHIM_H

#include <linux/memfd.h>
#include <sys/eventfd.h>

int memfd_create(const char *name, unsigned flags);

enum { LSEEK_DATA = 3, LSEEK_HOLE = 4 };

#endif
