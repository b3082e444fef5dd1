#pragma once

#include <cmath>

#include "shim/half.h"
#include "shim/machine.h"

// The functions of src/kernels/cuda/ptx.h for the host; the contracts stand there.
namespace omni::shim {

// Each lane gives the 16-byte row at `row` (lanes 8 m to 8 m + 7 the rows of matrix m) and gets its two
// 16-bit elements of each of the `matrices` 8 x 8 matrices, packed: of row lane / 4 the columns 2 (lane % 4)
// and + 1, or of the transposed matrix.
void load_matrix(unsigned* registers, int matrices, bool transposed, const void* row, Site site);
// D = A B + C for A [16, 16], B [16, 8] and C, D [16, 8] over the fragments of PTX mma.m16n8k16.
template <class T>
void multiply_accumulate(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], Site site);

}  // namespace omni::shim

namespace omni::cuda {

#define OMNI_SHIM_PTX_SITE ::omni::shim::Site site = {__builtin_FILE(), __builtin_LINE()}

inline void copy_async_16(void* shared, const void* global, bool valid = true, OMNI_SHIM_PTX_SITE) {
  shim::copy_async(shared, global, 16, valid, site);
}
inline void copy_async_8(void* shared, const void* global, bool valid = true, OMNI_SHIM_PTX_SITE) {
  shim::copy_async(shared, global, 8, valid, site);
}
inline void copy_async_4(void* shared, const void* global, bool valid = true, OMNI_SHIM_PTX_SITE) {
  shim::copy_async(shared, global, 4, valid, site);
}
inline void copy_async_commit() { shim::copy_async_commit(); }
template <int kPendingGroups>
inline void copy_async_wait() {
  shim::copy_async_wait(kPendingGroups);
}
inline void copy_async_wait_all() { shim::copy_async_wait_all(); }

inline void load_matrix_x4(unsigned (&registers)[4], const void* row, OMNI_SHIM_PTX_SITE) {
  shim::load_matrix(registers, 4, false, row, site);
}
inline void load_matrix_x4_transposed(unsigned (&registers)[4], const void* row, OMNI_SHIM_PTX_SITE) {
  shim::load_matrix(registers, 4, true, row, site);
}
inline void load_matrix_x2(unsigned (&registers)[2], const void* row, OMNI_SHIM_PTX_SITE) {
  shim::load_matrix(registers, 2, false, row, site);
}
inline void load_matrix_x2_transposed(unsigned (&registers)[2], const void* row, OMNI_SHIM_PTX_SITE) {
  shim::load_matrix(registers, 2, true, row, site);
}

template <class T>
inline void multiply_accumulate(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                OMNI_SHIM_PTX_SITE) {
  shim::multiply_accumulate<T>(c, a, b, site);
}

inline float exp2_approximate(float x) { return std::exp2(x); }

}  // namespace omni::cuda
