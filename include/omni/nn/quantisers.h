#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/config.h"
#include "omni/core/random.h"
#include "omni/nn/parameters.h"

namespace omni::nn {

struct QuantiserConfig {
  std::string kind = "fsq";  // fsq, vq or spherical
  // fsq: values per dimension; their product is the vocabulary.
  std::vector<std::int64_t> levels = {8, 5, 5, 5};
  std::int64_t codebook_size = 512;  // vq, spherical
  std::int64_t codebook_dim = 8;     // vq, spherical
  double commitment = 0.25;          // vq, spherical: weight of |z - sg(code)|^2, sg stopping the gradient
  double decay = 0.99;               // vq: of the moving averages
  double revival_share = 0.02;       // vq: a code used less than this share of its fair share is reseeded
  bool unit_length = false;          // vq: vectors and codes lie on the unit sphere
};
void describe(ConfigVisitor& visitor, QuantiserConfig& config);
std::int64_t vocabulary_of(const QuantiserConfig& config);
std::int64_t dimensions_of(const QuantiserConfig& config);

struct Quantised {
  Tensor values;   // [..., dimensions], code values; gradients pass straight through to the input
  Tensor indices;  // [...], int64
  Tensor loss;     // scalar: commitment (and codebook) loss, zero for fsq
};

// How several processes learn one codebook, each from its own vectors. Every process makes the same calls. Empty: one
// has all vectors.
struct SharedVectors {
  std::function<void(const Tensor& own)> sum;       // over the processes, in place, of int64 or fp32
  std::function<Tensor(const Tensor& own)> gather;  // [n, ...] of each, end to end in their order
  // The first one's values in place of the others', of any type: what all must have to the bit.
  std::function<void(const Tensor& own)> from_first;
};

// Continuous vectors [..., dimensions] to codes and back. All arithmetic in fp32.
class Quantiser {
 public:
  virtual ~Quantiser() = default;
  virtual std::int64_t vocabulary() const = 0;
  virtual std::int64_t dimensions() const = 0;
  // [vocabulary, dimensions], fp32: the values that a decoder sees.
  virtual Tensor codebook() const = 0;
  // What is rounded to the nearest code: bounded (fsq), normalised (spherical) or the input itself (vq).
  // Feeding it to the decoder in place of the code is the continuous bypass. Differentiable.
  virtual Tensor prepare(const Tensor& z) const = 0;
  virtual Tensor nearest(const Tensor& prepared) const = 0;  // [..., dimensions] -> indices [...], int64
  Tensor lookup(const Tensor& indices) const;                // [...] -> [..., dimensions]
  Quantised quantise(const Tensor& prepared) const;

  // Training only. start() sets the codes from a sample [n, dimensions] of prepared vectors (k-means with
  // k-means++ seeding; nothing to do for fsq). learn() is called after a step with that step's prepared
  // vectors and indices: those of this process where share() was called, which get what all of them would
  // give, up to the order of the sums. Then codes, learning state and the position of `rng` are the first
  // process's everywhere, for processors that round in other ways, and sums of a GPU, may draw other vectors
  // and revive other codes.
  virtual void start(const Tensor& prepared, CounterRng& rng);
  virtual void learn(const Tensor& prepared, const Tensor& indices, CounterRng& rng);
  // What learn() keeps beside the parameters, for checkpoints; empty before its first call. Restoring throws
  // Error(input) where it is another quantiser's.
  virtual std::vector<std::pair<std::string, Tensor>> learning_state() const { return {}; }
  virtual void restore_learning(const std::map<std::string, Tensor>& state);
  void share(SharedVectors shared);

 protected:
  virtual Tensor loss(const Tensor& prepared, const Tensor& codes) const;
  Tensor summed(const Tensor& own) const;  // `own` itself
  Tensor gathered(const Tensor& own) const;
  // Those of the first process: written over `own`; the generator, which goes on from there; of the codes in
  // `chosen` [vocabulary], bool, the indices, int64.
  void take_from_first(const Tensor& own) const;
  void take_from_first(CounterRng& rng, at::Device device) const;
  Tensor chosen_by_first(const Tensor& chosen) const;

 private:
  SharedVectors shared_;
};

// Parameters, if any, are registered under `scope`.
std::unique_ptr<Quantiser> make_quantiser(const ParameterScope& scope, const QuantiserConfig& config);

// Finite scalar quantisation (Mentzer et al. 2023, arXiv 2309.15505): each dimension is bounded by tanh and
// rounded to one of `levels` values; no codebook, so no dead codes. Code values lie in [-1, 1]. Dimension 0
// is the fastest digit of the index.
class FiniteScalarQuantiser : public Quantiser {
 public:
  explicit FiniteScalarQuantiser(std::vector<std::int64_t> levels);
  std::int64_t vocabulary() const override;
  std::int64_t dimensions() const override { return static_cast<std::int64_t>(levels_.size()); }
  Tensor codebook() const override;
  Tensor prepare(const Tensor& z) const override;
  Tensor nearest(const Tensor& prepared) const override;

 private:
  Tensor loss(const Tensor& prepared, const Tensor& codes) const override;
  std::vector<std::int64_t> levels_;
  Tensor half_levels_, bound_, offset_, shift_, basis_;
};

// A codebook that follows its vectors by exponential moving averages (van den Oord et al. 2017, arXiv
// 1711.00937, appendix A.1); codes that hardly any vector uses are moved onto random vectors of the current
// step. The moving averages are training state, not parameters. With `unit_length` (Yu et al. 2021, arXiv
// 2110.04627) only directions count: prepare() and codebook() give unit vectors, whatever the stored ones
// are.
class VectorQuantiser : public Quantiser {
 public:
  VectorQuantiser(const ParameterScope& scope, const QuantiserConfig& config);
  // Over a codebook that has a name of its own elsewhere: [codes, dim], shared, learnt in place.
  VectorQuantiser(Tensor codebook, const QuantiserConfig& config);
  std::int64_t vocabulary() const override { return config_.codebook_size; }
  std::int64_t dimensions() const override { return config_.codebook_dim; }
  Tensor codebook() const override;
  Tensor prepare(const Tensor& z) const override;
  Tensor nearest(const Tensor& prepared) const override;
  void start(const Tensor& prepared, CounterRng& rng) override;
  void learn(const Tensor& prepared, const Tensor& indices, CounterRng& rng) override;
  std::vector<std::pair<std::string, Tensor>> learning_state() const override;
  void restore_learning(const std::map<std::string, Tensor>& state) override;

 private:
  Tensor loss(const Tensor& prepared, const Tensor& codes) const override;
  QuantiserConfig config_;
  Tensor codebook_;       // [codes, dim], a buffer
  Tensor counts_, sums_;  // moving averages
};

// Cube3D's quantiser: codes and inputs are RMS-normalised to one sphere (with a common scale per dimension),
// the nearest code in Euclidean distance wins; the codebook learns by gradient. Tensors: codebook.weight
// [codes, dim], cb_weight [dim], cb_bias [dim], norm.weight [dim].
class SphericalQuantiser : public Quantiser {
 public:
  SphericalQuantiser(const ParameterScope& scope, const QuantiserConfig& config);
  std::int64_t vocabulary() const override { return config_.codebook_size; }
  std::int64_t dimensions() const override { return config_.codebook_dim; }
  Tensor codebook() const override;
  Tensor prepare(const Tensor& z) const override;
  Tensor nearest(const Tensor& prepared) const override;
  void start(const Tensor& prepared, CounterRng& rng) override;
  void learn(const Tensor& prepared, const Tensor& indices, CounterRng& rng) override;
  std::vector<std::pair<std::string, Tensor>> learning_state() const override;
  void restore_learning(const std::map<std::string, Tensor>& state) override;

 private:
  Tensor loss(const Tensor& prepared, const Tensor& codes) const override;
  Tensor normalise(const Tensor& x) const;
  void place(std::int64_t code, const Tensor& prepared_row);
  QuantiserConfig config_;
  Tensor weight_, scale_, shift_, norm_;
  Tensor counts_;
};

// `x` divided by its Euclidean norm along `dimension`, in fp32. Differentiable.
Tensor unit_length(const Tensor& x, std::int64_t dimension);
// Indices [n], int64, of the nearest rows of `codes` [k, d] for `rows` [n, d], in chunks that bound the
// memory.
Tensor nearest_rows(const Tensor& rows, const Tensor& codes);
// The centres [clusters, d] of `rows` [n, d]: k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd's
// iterations; empty clusters are reseeded.
Tensor k_means(const Tensor& rows, std::int64_t clusters, int iterations, CounterRng& rng);

}  // namespace omni::nn
