// Functions that are compiled for the CPU and for the GPU alike.
#pragma once

#ifdef __CUDACC__
#define LECTERN_HOST_DEVICE __host__ __device__
#else
#define LECTERN_HOST_DEVICE
#endif
