/*
 * libbsd for the program `gpuvm`: humanize_number() writes the sizes of the reports (118M), expand_number()
 * reads the sizes given on the command line (64K, 3G). The C core uses none of the library's code, only its
 * header-only macros in private files.
 */
#ifndef CBSD_SHIM_H
#define CBSD_SHIM_H

#include <bsd/libutil.h>
#include <bsd/stdlib.h>

#endif
