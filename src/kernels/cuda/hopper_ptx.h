#pragma once

#include "device.h"
#include "hopper_matrix.h"

// All inline PTX of sm_90a: barriers that count bytes, bulk copies, products of warp groups. The contracts are
// those of the PTX ISA; the host's versions are in tests/shim. Addresses are in the window of shared memory.
//   SharedBarrier                       an mbarrier; after initialise() and publish_barriers() a __syncthreads
//     arrive(), arrive_expecting(bytes) one arrival, and so many bytes that the phase waits for as well
//     wait(parity)                      until the phase of that parity has ended; a new one counts as after
//                                       a phase of parity 1
//   copy_box(target, map, barrier, column, head, row)
//       starts the copy of a box of a TensorMap; its bytes, zeros outside of the tensor, count on the barrier.
//   allow_registers<n>(), leave_registers<n>()
//       more or fewer registers for each thread, called by all warps of a warp group.
//   begin_products(registers...)
//       called by all warps of a group before its first product and wherever others wrote the registers that
//       the next ones read.
//   multiply_columns(sums, a, b, add)
//       sums [64, N] (+)= A B^T, 16 columns of A [64, 16] and B [N, 16] in shared memory.
//   multiply_rows_of(sums, a, b)
//       sums [64, N] += A B, A [64, 16] in registers and 16 rows of B [16, N] in shared memory.
//   commit_products(), wait_products<n>(registers...)
//       close a group; wait for all groups but the latest n, of which the registers are results.
// Sums lie as mma's do: of the group's warp w, rows 16 w to 16 w + 15, as sums[column / 8][4].

#ifdef OMNI_HOST_SHIM
#include "shim/hopper_ptx.h"
#else

#include <cuda.h>

// Kernels hold instructions of sm_90a alone; for other architectures they only trap, and none is launched there.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define OMNI_HOPPER_DEVICE_CODE 1
#else
#define OMNI_HOPPER_DEVICE_CODE 0
#endif

namespace omni::cuda {

using TensorMap = CUtensorMap;

__device__ __forceinline__ unsigned shared_window(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

class SharedBarrier {
 public:
  __device__ __forceinline__ void initialise(unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address()), "r"(arrivals) : "memory");
  }
  __device__ __forceinline__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address()) : "memory");
  }
  __device__ __forceinline__ void arrive_expecting(unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()), "r"(bytes)
                 : "memory");
  }
  __device__ __forceinline__ void wait(unsigned parity) {
    asm volatile(
        "{\n"
        ".reg .pred ended;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
        "@!ended bra again;\n"
        "}" ::"r"(address()),
        "r"(parity)
        : "memory");
  }
  __device__ __forceinline__ unsigned address() const { return shared_window(this); }

 private:
  unsigned long long state_;
};

// Shows barriers that this thread initialised to bulk copies as well.
__device__ __forceinline__ void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void copy_box(unsigned target, const TensorMap& map, SharedBarrier& barrier,
                                         int column, int head, int row) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, "
      "%5}], [%2];" ::"r"(target),
      "l"(&map), "r"(barrier.address()), "r"(column), "r"(head), "r"(row)
      : "memory");
}

template <int kRegisters>
__device__ __forceinline__ void allow_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void leave_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Keeps the compiler from moving what it does with registers over the products that read and write them
// behind its back.
template <int kTiles>
__device__ __forceinline__ void hold(float (&sums)[kTiles][4]) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(sums[n][i])::"memory");
}
template <int kSteps>
__device__ __forceinline__ void hold(unsigned (&left)[kSteps][4]) {
#pragma unroll
  for (int k = 0; k < kSteps; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+r"(left[k][i])::"memory");
}

template <class... Registers>
__device__ __forceinline__ void begin_products(Registers&... registers) {
  (hold(registers), ...);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPendingGroups, class... Registers>
__device__ __forceinline__ void wait_products(Registers&... registers) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPendingGroups) : "memory");
  (hold(registers), ...);
}

// The operands of 32 and of 64 sums, as wgmma's text names them and as the compiler binds them.
#define OMNI_SUMS_32                                                                                      \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define OMNI_SUMS_64                                                                                      \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "  \
  "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "  \
  "%62, %63}"
#define OMNI_BIND_4(n) "+f"(sums[n][0]), "+f"(sums[n][1]), "+f"(sums[n][2]), "+f"(sums[n][3])
#define OMNI_BIND_32(n)                                                                           \
  OMNI_BIND_4(n), OMNI_BIND_4(n + 1), OMNI_BIND_4(n + 2), OMNI_BIND_4(n + 3), OMNI_BIND_4(n + 4), \
      OMNI_BIND_4(n + 5), OMNI_BIND_4(n + 6), OMNI_BIND_4(n + 7)

__device__ __forceinline__ void multiply_columns(float (&sums)[8][4], MatrixDescriptor a, MatrixDescriptor b,
                                                 bool add) {
  asm volatile(
      "{\n.reg .pred kept;\nsetp.ne.b32 kept, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " OMNI_SUMS_32 ", %32, %33, kept, 1, 1, 0, 0;\n}"
      : OMNI_BIND_32(0)
      : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));
}
__device__ __forceinline__ void multiply_columns(float (&sums)[16][4], MatrixDescriptor a, MatrixDescriptor b,
                                                 bool add) {
  asm volatile(
      "{\n.reg .pred kept;\nsetp.ne.b32 kept, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " OMNI_SUMS_64 ", %64, %65, kept, 1, 1, 0, 0;\n}"
      : OMNI_BIND_32(0), OMNI_BIND_32(8)
      : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));
}
__device__ __forceinline__ void multiply_rows_of(float (&sums)[8][4], const unsigned (&a)[4],
                                                 MatrixDescriptor b) {
  asm volatile(
      "{\n.reg .pred kept;\nsetp.ne.b32 kept, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " OMNI_SUMS_32
      ", {%32, %33, %34, %35}, %36, kept, 1, 1, 1;\n}"
      : OMNI_BIND_32(0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.bits));
}
__device__ __forceinline__ void multiply_rows_of(float (&sums)[16][4], const unsigned (&a)[4],
                                                 MatrixDescriptor b) {
  asm volatile(
      "{\n.reg .pred kept;\nsetp.ne.b32 kept, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " OMNI_SUMS_64
      ", {%64, %65, %66, %67}, %68, kept, 1, 1, 1;\n}"
      : OMNI_BIND_32(0), OMNI_BIND_32(8)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.bits));
}

#undef OMNI_SUMS_32
#undef OMNI_SUMS_64
#undef OMNI_BIND_4
#undef OMNI_BIND_32

}  // namespace omni::cuda

#endif
