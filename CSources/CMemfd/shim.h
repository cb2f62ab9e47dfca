/*
 * memfd_create() for Swift, whose Glibc module leaves out what needs _GNU_SOURCE.
 */
#ifndef CMEMFD_SHIM_H
#define CMEMFD_SHIM_H

#include <linux/memfd.h>

int memfd_create(const char *name, unsigned flags);

#endif
