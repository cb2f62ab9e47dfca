/* The process's device: made when it is first asked for. */
#ifndef DRMSHIM_PROCESS_H
#define DRMSHIM_PROCESS_H

#include "drmshim/device.h"

extern struct drmshim_ops drmshim_ops;

/* 0 or a negative errno. */
int device_get(void **device);
/* 0 or a negative errno. */
int device_identify(struct drmshim_identity *out);

#endif
