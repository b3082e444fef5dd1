#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/core/safetensors.h"

namespace omni::nn {

using at::Tensor;

// How a parameter starts. Every parameter draws from its own stream, keyed by (seed, name), so adding one
// never changes another.
struct Init {
  enum class Kind { zeros, ones, normal, uniform } kind = Kind::zeros;
  double scale = 0;  // standard deviation of normal, half-width of uniform

  static Init zeros() { return {Kind::zeros, 0}; }
  static Init ones() { return {Kind::ones, 0}; }
  static Init normal(double deviation) { return {Kind::normal, deviation}; }
  static Init uniform(double half_width) { return {Kind::uniform, half_width}; }
  static Init fan_in(
      std::int64_t inputs);  // uniform in +-1/sqrt(inputs), PyTorch's default for linear and convolution
};

struct Parameter {
  std::string name;
  Tensor value;           // fp32 leaf; shares storage with the handle that the layer holds
  bool trainable = true;  // false: a buffer, saved but not optimised
};

// What the parameters of a network start from: random numbers.
struct ParameterStart {
  std::uint64_t seed = 0;
  double maximum_elements = std::numeric_limits<double>::infinity();
  std::string file;  // that bounds them

  ParameterStart(std::uint64_t seed = 0) : seed(seed) {}  // NOLINT: a seed is what they start from
  // Of a network whose weights will be read from `file`: a configuration with far more weights than the file
  // holds, one that was forged or damaged, is Error(input) before it has taken up the memory.
  static ParameterStart to_load(const SafetensorsFile& file);
};

// Owns the named tensors of one network, in the order in which its layers were built.
class ParameterStore {
 public:
  explicit ParameterStore(ParameterStart start = {}) : start_(std::move(start)) {}
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;
  ParameterStore(ParameterStore&&) = default;
  ParameterStore& operator=(ParameterStore&&) = default;

  Tensor add(std::string name, at::IntArrayRef shape, Init init, bool trainable = true);
  const std::vector<Parameter>& all() const { return parameters_; }
  const Parameter* find(std::string_view name) const;
  std::int64_t element_count() const;

  void zero_gradients();
  void set_trainable(bool trainable);  // of every parameter: false freezes the network
  void freeze_except(
      std::string_view prefix);  // for good: the others become buffers, which optimisers leave alone
  void to(at::Device device);

  // Reads every parameter under `prefix` + name; throws Error(input) naming file and tensor where one is
  // missing or has another shape, and where the file holds tensors under `prefix` that the network lacks,
  // unless they are in `ignored`. F16 and BF16 files are widened.
  void load(const SafetensorsFile& file, const std::string& prefix = "",
            const std::vector<std::string>& ignored = {});
  void save(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata = {}) const;

 private:
  ParameterStart start_;
  double elements_ = 0;
  std::vector<Parameter> parameters_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

// A place in the tree of names: ParameterScope(store, "encoder").sub("blocks").sub(0).add("weight", ...).
class ParameterScope {
 public:
  ParameterScope(ParameterStore& store, std::string prefix = "")
      : store_(&store), prefix_(std::move(prefix)) {}
  ParameterScope sub(std::string_view name) const;
  ParameterScope sub(std::int64_t index) const;
  Tensor add(std::string_view name, at::IntArrayRef shape, Init init, bool trainable = true) const;

 private:
  ParameterStore* store_;
  std::string prefix_;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
// Writes tensors of any device and layout, atomically; see write_safetensors().
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata = {});
// The hash_file() of what write_tensors would write.
std::uint64_t hash_tensors(const NamedTensors& tensors,
                           const std::map<std::string, std::string>& metadata = {});

// Copies between Torch and the safetensors reader and writer (CPU, contiguous).
Tensor to_tensor(const TensorView& view);  // owns a copy, same dtype
TensorView view_of(
    const Tensor& tensor);  // borrows; the tensor must be contiguous, on the CPU, and stay alive

}  // namespace omni::nn
