/*
 * Pushbuffer words as methods: one word in, at most one method out. The state is the header whose data is still to
 * come; nothing else is remembered.
 */
#include <nvengine/push.h>

#include <errno.h>

enum form { FORM_RISING, FORM_FIXED, FORM_RISING_ONCE };

/* Control entries of form 0, by bits 17:16. */
enum { OLD_METHOD, SET_MASK, STORE_MASK, USE_MASK };

static void begin(struct nvengine_decoder *d, enum form form, uint32_t word, uint32_t address, uint32_t count)
{
    d->form = (uint8_t)form;
    d->address = address;
    d->count = count;
    d->subchannel = word >> 13 & 7;
}

static int method(const struct nvengine_decoder *d, uint32_t address, uint32_t data, struct nvengine_method *out)
{
    if (d->inactive)
        return NVENGINE_DECODED_NOTHING;
    *out = (struct nvengine_method){address, data, d->subchannel};
    return NVENGINE_DECODED_METHOD;
}

static int data(struct nvengine_decoder *d, uint32_t word, struct nvengine_method *out)
{
    uint32_t address = d->address;

    d->count--;
    if (d->form != FORM_FIXED)
        d->address = (address + 4) & (NVENGINE_METHODS_END - 1);
    if (d->form == FORM_RISING_ONCE)
        d->form = FORM_FIXED;
    return method(d, address, word, out);
}

/* The forms from before Fermi, with byte addresses, and the masks for several GPUs that share a pushbuffer. This GPU is
 * in every mask that is not empty, as nouveau sets channels up. */
static int old_header(struct nvengine_decoder *d, uint32_t word)
{
    uint16_t mask = word >> 4 & 0xfff;

    switch (word >> 16 & 3) {
    case OLD_METHOD:
        begin(d, FORM_RISING, word, word & 0x1ffc, word >> 18 & 0x7ff);
        break;
    case SET_MASK:
        d->inactive = !mask;
        break;
    case STORE_MASK:
        d->mask = mask;
        break;
    case USE_MASK:
        d->inactive = !d->mask;
        break;
    }
    return NVENGINE_DECODED_NOTHING;
}

int nvengine_decode(struct nvengine_decoder *d, uint32_t word, struct nvengine_method *out)
{
    uint32_t address = (word & 0xfff) << 2, count = word >> 16 & 0x1fff;

    if (d->count)
        return data(d, word, out);
    switch (word >> 29) {
    case 0:
        return old_header(d, word);
    case 1:
        begin(d, FORM_RISING, word, address, count);
        return NVENGINE_DECODED_NOTHING;
    case 2:
        if (word >> 16 & 3)
            return -EBADMSG;
        begin(d, FORM_FIXED, word, word & 0x1ffc, word >> 18 & 0x7ff);
        return NVENGINE_DECODED_NOTHING;
    case 3:
        begin(d, FORM_FIXED, word, address, count);
        return NVENGINE_DECODED_NOTHING;
    case 4:
        d->subchannel = word >> 13 & 7;
        return method(d, address, count, out);
    case 5:
        begin(d, FORM_RISING_ONCE, word, address, count);
        return NVENGINE_DECODED_NOTHING;
    case 7:
        return NVENGINE_DECODED_END;
    default:
        return -EBADMSG;
    }
}
