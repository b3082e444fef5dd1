#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/core/safetensors.h"
#include "omni/kernels/tensor.h"
#include "omni/nn/parameter_units.h"

namespace omni::nn {

using at::Tensor;

// How a parameter starts. Every parameter draws from its own stream, keyed by (seed, name), so adding one
// never changes another.
struct Init {
  enum class Kind { zeros, ones, normal, uniform } kind = Kind::zeros;
  double scale = 0;  // standard deviation of normal, half-width of uniform

  static Init zeros() { return {Kind::zeros, 0}; }
  static Init ones() { return {Kind::ones, 0}; }
  static Init normal(double standard_deviation) { return {Kind::normal, standard_deviation}; }
  static Init uniform(double half_width) { return {Kind::uniform, half_width}; }
  // Uniform in +-1/sqrt(inputs), PyTorch's default for linear layers and convolutions.
  static Init fan_in(std::int64_t inputs);
};

// What a layer says of a parameter.
struct ParameterTraits {
  bool trainable = true;  // false: a buffer, saved but not optimised
  // Rows of each of the matrices that are stored as one, one above the other. Empty: it is a single one.
  std::vector<std::int64_t> stacked_rows;
};

struct Parameter {
  std::string name;
  // A leaf; the layer holds a handle to the same tensor. fp32, but for the matrices of a store that was sealed
  // for another type.
  Tensor value;
  // fp32, without graph: what optimisers change and files hold. The memory of `value` where that is fp32. Frozen
  // matrices have one as well.
  // Undefined where this rank does not own all of it.
  Tensor master;
  bool trainable = true;                   // see ParameterTraits
  std::vector<std::int64_t> stacked_rows;  // likewise
  std::size_t unit = 0;                    // index into ParameterStore::units()
  ElementRange frozen_rows = {};  // of one with one dimension: that stay though the others are trained
};

// What the parameters of a network start from.
struct ParameterStart {
  enum class Kind {
    random,
    unset,   // memory without values: whoever builds the network writes every one of them
    shapes,  // no memory at all (LibTorch's device "meta"), for estimates
  };
  Kind kind = Kind::random;
  std::uint64_t seed = 0;  // of random ones
  double maximum_elements = std::numeric_limits<double>::infinity();
  std::string file;  // that bounds them

  ParameterStart(std::uint64_t seed = 0) : seed(seed) {}  // NOLINT: a seed is what they start from
  static ParameterStart unset();
  static ParameterStart shapes();
  // Of a network whose weights will be read from `file`, unset until then: a configuration with far more
  // weights than the file holds, one that was forged or damaged, is Error(input) before it has taken up the
  // memory.
  static ParameterStart to_load(const SafetensorsFile& file);
};

// How a store is laid out when it is sealed.
struct ParameterSeal {
  // Of the matrices of blocks: kFloat or kBFloat16. Everything else stays fp32.
  at::ScalarType matrix_type = at::kFloat;
  // Optimisers find the parameters of one group and unit side by side. Empty: all are of group 0.
  std::function<int(const Parameter&)> group;
  // Parameters of such a group are owned whole. Empty: any may be cut.
  std::function<bool(int group)> whole;
  int rank = 0, ranks = 1;  // among which ownership is divided
  // Of blocks, each rank keeps what it owns alone. Groups that are owned whole cannot be.
  bool fully = false;
};

// Owns the named tensors of one network, in the order in which its layers were built, in units: the root and
// what ParameterScope::unit() makes. A store is built, may move to another device, and is sealed where it is to
// be trained.
class ParameterStore {
 public:
  explicit ParameterStore(ParameterStart start = {}) : start_(std::move(start)) {}
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;
  ParameterStore(ParameterStore&&) = default;
  ParameterStore& operator=(ParameterStore&&) = default;

  // Throws Error(internal) for a name that exists, and after the store was sealed.
  Tensor add(std::string name, at::IntArrayRef shape, Init init, ParameterTraits traits = {},
             std::size_t unit = 0);
  std::size_t add_unit(std::string name, ParameterUnit::Kind kind);
  const std::vector<Parameter>& all() const { return parameters_; }
  const Parameter* find(std::string_view name) const;
  std::int64_t element_count() const;

  // Moves the parameters of every unit into flat buffers; see ParameterUnit. The tensors that layers hold stay
  // the same ones, buffers stay where they are. From then on the gradient of each parameter is defined, zero at
  // first, and part of its unit's flat one, which autograd adds to.
  void seal(const ParameterSeal& seal);
  bool sealed() const { return sealed_; }
  std::vector<ParameterUnit>& units() { return units_; }
  const std::vector<ParameterUnit>& units() const { return units_; }
  // To be called when masters were written to: brings the owned values of another type up to date and raises
  // the versions of the leaves, by which copies of them go. Fully sharded values stay as they were until they are
  // held again.
  void masters_changed();
  void masters_changed(ParameterSection& section);
  // To be called when values that this rank does not own were written to.
  void values_changed(ParameterSection& section);
  // Of a fully sharded unit: memory for its values, where those that this rank owns are as its masters and the
  // others for the caller to bring; and for its gradients, which are zero. What is released is lost.
  void hold_values(std::size_t unit);
  void release_values(std::size_t unit);
  void hold_gradients(std::size_t unit);
  void release_gradients(std::size_t unit);
  // Gives the masters [size] of a sharded section from their owners.
  using Gather = std::function<Tensor(const ParameterSection&)>;
  // Back to parameters by themselves in fp32, without gradients. `gather` is needed where a section is sharded.
  void unseal(const Gather& gather = {});

  void zero_gradients();
  void zero_frozen_gradients();        // of rows that are frozen; to be called before an optimiser's step
  void set_trainable(bool trainable);  // of every parameter: false freezes the network
  // For good: they become buffers, which optimisers leave alone. Not once it is sealed.
  void freeze(const std::function<bool(const Parameter&)>& which);
  // These rows of a parameter alone, for an optimiser that leaves what has no gradient as it is.
  void freeze_rows(std::string_view name, const ElementRange& rows);
  // What parameters that are added from here on start from.
  void start_from(ParameterStart start) { start_ = std::move(start); }
  // They are the store's no longer. Not once it is sealed.
  void remove(const std::function<bool(const Parameter&)>& which);
  // `type`: that each is to have there; without it, its own. Not once it is sealed.
  void to(at::Device device, const std::function<at::ScalarType(const Parameter&)>& type = {});

  // Whether load() would take the file: throws Error(input) as it does, and reads no values.
  void require_fitting(const SafetensorsFile& file, const std::string& prefix = "",
                       const std::vector<std::string>& ignored = {}) const;
  // Reads every parameter under `prefix` + name; throws Error(input) naming file and tensor where one is
  // missing or has another shape, and where the file holds tensors under `prefix` that the network lacks,
  // unless they are in `ignored`. F16 and BF16 files are widened.
  void load(const SafetensorsFile& file, const std::string& prefix = "",
            const std::vector<std::string>& ignored = {});
  // Of a store without shards.
  // `matrix_type`: of what has two dimensions and more; the rest is fp32.
  void save(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata = {},
            at::ScalarType matrix_type = at::kFloat) const;

 private:
  // Writes a parameter's values, and its masters as far as this rank owns them.
  void set(Parameter& parameter, const Tensor& values);
  void seal_unit(std::size_t unit, const std::vector<std::size_t>& members, const ParameterSeal& seal);

  ParameterStart start_;
  double elements_ = 0;
  bool sealed_ = false;
  std::vector<Parameter> parameters_;
  std::vector<ParameterUnit> units_ = {{"", ParameterUnit::Kind::root, {}, {}}};
  std::map<std::string, std::size_t, std::less<>> index_;
};

// A place in the tree of names: ParameterScope(store, "encoder").sub("blocks").sub(0).add("weight", ...).
class ParameterScope {
 public:
  ParameterScope(ParameterStore& store, std::string prefix = "", std::size_t unit = 0)
      : store_(&store), prefix_(std::move(prefix)), unit_(unit) {}
  ParameterScope sub(std::string_view name) const;
  ParameterScope sub(std::int64_t index) const;
  // The same place; what is added there and below makes a unit of the store.
  ParameterScope unit(ParameterUnit::Kind kind) const;
  Tensor add(std::string_view name, at::IntArrayRef shape, Init init, ParameterTraits traits = {}) const;

 private:
  ParameterStore* store_;
  std::string prefix_;
  std::size_t unit_;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// Writes tensors of any device and layout, atomically; see write_safetensors().
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata = {});
// The hash_file() of what write_tensors would write.
std::uint64_t hash_tensors(const NamedTensors& tensors,
                           const std::map<std::string, std::string>& metadata = {});

// The same type of elements.
at::ScalarType scalar_type(DType dtype);
DType dtype_of(at::ScalarType type);  // throws Error(internal) for one that is not stored
// Copies between Torch and the safetensors reader and writer (CPU, contiguous).
Tensor to_tensor(const TensorView& view);  // owns a copy, same dtype
// Borrows: the tensor must be contiguous, on the CPU, and stay alive.
TensorView view_of(const Tensor& tensor);

}  // namespace omni::nn
