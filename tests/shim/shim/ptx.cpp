#include "shim/ptx.h"

#include <cstring>

namespace omni::shim {
namespace {

template <int kMatrices, bool kTransposed>
void combine_load_matrix(const LaneRequest* lanes, unsigned) {
  for (int m = 0; m < kMatrices; ++m) {
    std::uint16_t matrix[8][8];
    for (int row = 0; row < 8; ++row) std::memcpy(matrix[row], lanes[8 * m + row].input, 16);
    for (int lane = 0; lane < 32; ++lane) {
      const int row = lane / 4, column = lane % 4 * 2;
      const unsigned low = kTransposed ? matrix[column][row] : matrix[row][column];
      const unsigned high = kTransposed ? matrix[column + 1][row] : matrix[row][column + 1];
      static_cast<unsigned*>(lanes[lane].output)[m] = low | high << 16;
    }
  }
}

template <int kMatrices, bool kTransposed>
constexpr Collective kLoadMatrix{"ldmatrix", &combine_load_matrix<kMatrices, kTransposed>};

struct Fragments {
  const unsigned *a, *b;
};

template <class T>
float element(unsigned packed, int half) {
  const auto bits = static_cast<unsigned short>(packed >> (16 * half));
  if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return bfloat16_value(bits);
  else
    return half_value(bits);
}

// The lane layouts of the PTX manual, "Matrix Fragments for mma.m16n8k16 with floating point type": with
// g = lane / 4 and t = lane % 4, register r of A holds row g + 8 (r % 2), columns 2 t + 8 (r / 2) and + 1; of
// B rows 2 t + 8 r and + 1 of column g; of C row g + 8 (r / 2), column 2 t + r % 2.
template <class T>
void combine_multiply(const LaneRequest* lanes, unsigned) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto* in = static_cast<const Fragments*>(lanes[lane].input);
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < 4; ++r) a[g + 8 * (r % 2)][2 * t + 8 * (r / 2) + half] = element<T>(in->a[r], half);
      for (int r = 0; r < 2; ++r) b[2 * t + 8 * r + half][g] = element<T>(in->b[r], half);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* c = static_cast<float*>(lanes[lane].output);
    for (int r = 0; r < 4; ++r) {
      const int row = lane / 4 + 8 * (r / 2), column = lane % 4 * 2 + r % 2;
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      c[r] += sum;
    }
  }
}

constexpr unsigned kAllLanes = 0xffffffffu;

}  // namespace

void load_matrix(unsigned* registers, int matrices, bool transposed, const void* row, Site site) {
  const bool used = static_cast<int>(lane_index()) < 8 * matrices;
  if (used) check_aligned(row, 16, "row of ldmatrix");
  const LaneRequest request{row, registers};
  if (matrices == 4)
    warp_collective(transposed ? kLoadMatrix<4, true> : kLoadMatrix<4, false>, kAllLanes, request, site);
  else
    warp_collective(transposed ? kLoadMatrix<2, true> : kLoadMatrix<2, false>, kAllLanes, request, site);
}

template <class T>
void multiply_accumulate(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], Site site) {
  static constexpr Collective kMultiply{"mma.m16n8k16", &combine_multiply<T>};
  const Fragments fragments{a, b};
  warp_collective(kMultiply, kAllLanes, {&fragments, c}, site);
}
template void multiply_accumulate<__nv_bfloat16>(float (&)[4], const unsigned (&)[4], const unsigned (&)[2],
                                                 Site);
template void multiply_accumulate<__half>(float (&)[4], const unsigned (&)[4], const unsigned (&)[2], Site);

}  // namespace omni::shim
