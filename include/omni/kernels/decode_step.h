#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "omni/kernels/decode_attention.h"
#include "omni/kernels/decode_linear.h"
#include "omni/kernels/decode_sizes.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

struct DecodeStepMatrix {
  DecodeWeight weight;
  at::Tensor bias;  // [outputs] or undefined
};

// One block: the weights of the stream that the rows belong to, and where its keys and values are kept.
struct DecodeStepLayer {
  at::Tensor attention_norm, mlp_norm;  // [width] fp32 or undefined
  at::Tensor query_norm, key_norm;      // [head_size] fp32 or undefined
  DecodeStepMatrix qkv, attention_out, gate_up, down;
  KeyValueCache* cache = nullptr;  // is written to; must outlive the step
  std::size_t place = 0;           // which of DecodeStepRows::places says where rows stand in it
};

struct DecodeStepNetwork : DecodeSizes {
  std::vector<DecodeStepLayer> layers;
  at::Tensor final_norm;             // [width] fp32 or undefined
  at::ScalarType type = at::kFloat;  // of the activations: fp32 or bf16
  std::int64_t width = 0;
};

struct DecodeStepRows {
  // As for cached_attention(). Caches of one place share their chunks alike.
  struct Places {
    std::span<const std::int32_t> sequences, positions, last_seen;
  };
  at::Tensor embedded;           // [rows, width] fp32
  at::Tensor cosine, sine;       // [rows, head_size / 2] fp32; undefined: nothing turns
  std::array<Places, 2> places;  // those that no layer names may be empty
};

// A few rows through all blocks on the CPU: add_norm(), decode_linear(), cached_attention() and swiglu() of them bit for
// bit, in memory that is allocated once, by threads that stay together from the first block to the last.
class DecodeStep {
 public:
  static constexpr std::int64_t kMostRows = 64;  // there are better kernels for more
  // Whether there are kernels for it.
  static bool supports(const DecodeStepNetwork& network);

  // Throws Error(internal) for a network whose shapes do not fit each other, or that is not supported.
  explicit DecodeStep(DecodeStepNetwork network);
  ~DecodeStep();
  DecodeStep(const DecodeStep&) = delete;
  DecodeStep& operator=(const DecodeStep&) = delete;

  // -> [rows, width] in the activations' type, normed. Throws Error(internal), with nothing done, for rows that do not
  // fit the network or its caches.
  at::Tensor run(const DecodeStepRows& rows);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni::kernels
