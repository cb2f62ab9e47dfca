/* The version the library was built as; a caller compares it with the headers'. */
#include <gpuvm/gpuvm.h>

uint32_t gpuvm_version(void)
{
    return GPUVM_VERSION;
}
