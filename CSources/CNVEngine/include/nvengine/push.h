/*
 * nvengine push: pushbuffer words as methods. Stateless but for the decoder that the caller embeds; touches no memory.
 *
 * A word is a header, or data of the header before it. Header: 31:29 form, 28:16 count or immediate value,
 * 15:13 subchannel, 11:0 method address in words. Data may follow in a later push: a decoder belongs to a channel.
 *
 * Facts: NVIDIA open-gpu-doc (classes cl906f … clc76f; gv100 dev_ram and dev_pbdma).
 */
#ifndef NVENGINE_PUSH_H
#define NVENGINE_PUSH_H

#include <gpuvm/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVENGINE_SUBCHANNELS  8
#define NVENGINE_METHODS_END  0x4000u /* method addresses are multiples of 4 below this */

struct nvengine_method {
    uint32_t address; /* bytes, a multiple of 4 below NVENGINE_METHODS_END */
    uint32_t data;
    uint8_t subchannel; /* 0 to 7 */
};

/* Zero it to begin. */
struct nvengine_decoder {
    uint32_t address;   /* of the next data word's method */
    uint32_t count;     /* data words to come */
    uint16_t mask;      /* subdevice mask as stored for later use */
    uint8_t subchannel;
    uint8_t form;       /* private */
    bool inactive;      /* the subdevice mask leaves this GPU out: methods are dropped */
};

enum nvengine_decoded {
    NVENGINE_DECODED_NOTHING = 0, /* a header, a NOP, or a method for another subdevice */
    NVENGINE_DECODED_METHOD = 1,  /* *out is filled */
    NVENGINE_DECODED_END = 2,     /* what is left of the push is to be dropped */
};

/* Takes one word. Addresses past the last method wrap to 0. -EBADMSG: a header with the reserved form or sub-form; the
 * decoder is as before. */
int nvengine_decode(struct nvengine_decoder *d, uint32_t word, struct nvengine_method *out);

#ifdef __cplusplus
}
#endif
#endif
