#include "omni/model/panel_file.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/core/safetensors.h"
#include "omni/kernels/decode_linear.h"
#include "panel_hashes.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;
using kernels::DecodeFormat;
using kernels::DecodePanels;

// Raised when the layout of panels changes: files of another layout are made anew.
constexpr int kLayout = 2;
constexpr std::size_t kAlignment = 64;  // of the first tensor, and so of all panels, in bytes

std::string format_name(DecodeFormat format) {
  return format == DecodeFormat::fp32 ? "fp32" : format == DecodeFormat::bf16 ? "bf16" : "int8";
}

// The user's folder for what can be made again, if there is one. A folder that others share is none: they could put
// weights of theirs there.
std::optional<fs::path> cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return fs::path(cache) / "omni";
  const char* home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".cache" / "omni";
  return {};
}

// Tells one state of weights files from another without reading them whole.
std::string stamp_of(const std::vector<fs::path>& files, const TransformerConfig& config) {
  TransformerConfig described = config;
  const std::string shape = config_to_yaml([&](ConfigVisitor& v) { describe(v, described); });
  std::ostringstream stamp;
  stamp << std::hex << hash_string(shape) << ' ' << kLayout;
  return stamp.str() + stamp_of_files(files);
}

// A matrix that decoding multiplies with, under its parameter's name.
struct PackedMatrix {
  std::string name;
  nn::CastWeight* weight = nullptr;
  std::int64_t outputs = 0, inputs = 0;
};

// The names of a network's tensors.
class ParameterNames {
 public:
  explicit ParameterNames(const Transformer::Network& network) {
    for (const nn::Parameter& parameter : network.parameters.all())
      names_[parameter.value.unsafeGetTensorImpl()] = parameter.name;
  }
  const std::string& of(const Tensor& tensor) const { return names_.at(tensor.unsafeGetTensorImpl()); }

 private:
  std::map<const void*, std::string> names_;
};

std::vector<PackedMatrix> packed_matrices(Transformer::Network& network, const ParameterNames& names) {
  std::vector<PackedMatrix> matrices;
  const auto add = [&](nn::CastWeight& weight) {
    if (!weight.defined()) return;
    const Tensor& value = weight.weight();
    matrices.push_back({names.of(value), &weight, value.size(0), value.size(1)});
  };
  for (auto* blocks : {&network.dual_blocks, &network.single_blocks})
    for (nn::DecoderBlock& block : *blocks)
      for (nn::StreamLayers& stream : block.streams)
        for (nn::CastLinear* layer : {&stream.qkv, &stream.attention_out, &stream.gate_up, &stream.down})
          add(layer->weight);
  add(network.output_rows);
  return matrices;
}

// All other tensors that decoding reads, where the layers hold them.
std::vector<Tensor*> plain_tensors(Transformer::Network& network) {
  std::vector<Tensor*> tensors = {&network.embedding, &network.slots, &network.next_slots,
                                  &network.final_norm};
  for (auto* blocks : {&network.dual_blocks, &network.single_blocks})
    for (nn::DecoderBlock& block : *blocks)
      for (nn::StreamLayers& stream : block.streams) {
        tensors.insert(tensors.end(),
                       {&stream.attention_norm, &stream.mlp_norm, &stream.query_norm, &stream.key_norm});
        for (nn::CastLinear* layer : {&stream.qkv, &stream.attention_out, &stream.gate_up, &stream.down})
          tensors.push_back(&layer->bias);
      }
  std::erase_if(tensors, [](const Tensor* tensor) { return !tensor->defined(); });
  return tensors;
}

// One tensor of the file: its description, and how its values come when it is its turn to be written.
struct Entry {
  std::string name;
  Tensor like;  // on the device meta
  std::function<Tensor()> values;
};

constexpr std::array<const char*, 3> kPanelParts = {".panels", ".scales", ".sums"};
std::array<Tensor, 3> parts_of(const DecodePanels& panels) {
  return {panels.panels, panels.scales, panels.sums};
}

// The matrices' panels, then all else as it is; a tied embedding is both.
std::vector<Entry> entries_of(Transformer::Network& network, const MappedWeights& weights) {
  std::vector<Entry> entries;
  const ParameterNames names(network);
  for (const PackedMatrix& matrix : packed_matrices(network, names)) {
    const auto shapes = parts_of(kernels::panel_shapes(matrix.outputs, matrix.inputs, weights.format));
    // Packed when the first part is written, kept for the others.
    const auto made = std::make_shared<std::array<Tensor, 3>>();
    for (std::size_t part = 0; part < shapes.size(); ++part) {
      if (!shapes[part].defined()) continue;
      const auto values = [made, part, name = matrix.name, outputs = matrix.outputs, inputs = matrix.inputs,
                           &weights] {
        if (part == 0)
          *made = parts_of(
              kernels::DecodeWeight(weights.values(name, {outputs, inputs}), weights.format).panels());
        return std::exchange((*made)[part], {});
      };
      entries.push_back({concat(matrix.name, kPanelParts[part]), shapes[part], values});
    }
  }
  for (const Tensor* tensor : plain_tensors(network)) {
    const std::string& name = names.of(*tensor);
    entries.push_back({name, tensor->detach(), [name, shape = tensor->sizes().vec(), &weights] {
                         return weights.values(name, shape).to(at::kFloat);
                       }});
  }
  return entries;
}

std::string head_of(const std::vector<Entry>& entries, const std::string& stamp) {
  std::vector<TensorDescription> tensors;
  for (const Entry& entry : entries)
    tensors.push_back({entry.name, nn::dtype_of(entry.like.scalar_type()), entry.like.sizes().vec()});
  tensors.push_back(PanelHashes::description(entries.size()));
  return safetensors_head(tensors, {{"stamp", stamp}}, kAlignment);
}

// The process in "<name>.<process>.<number>.tmp", as an AtomicFile of that name is called; 0: another name.
pid_t maker_of(const std::string& temporary, const std::string& name) {
  pid_t process = 0;
  if (!temporary.starts_with(name + ".") || !temporary.ends_with(".tmp")) return 0;
  std::from_chars(temporary.data() + name.size() + 1, temporary.data() + temporary.size(), process);
  return process;
}

// Removes what killed makers of this file left, gigabytes each. A process that is not seen here may live on another
// machine; it writes all the time.
void remove_abandoned(const fs::path& path) {
  constexpr std::chrono::minutes kLongestPause(1);
  std::error_code ignored;
  std::vector<fs::path> abandoned;
  fs::directory_iterator at(path.parent_path(), ignored);
  for (const fs::directory_iterator end; at != end; at.increment(ignored)) {
    const pid_t maker = maker_of(at->path().filename().string(), path.filename().string());
    if (maker <= 0 || ::kill(maker, 0) == 0 || errno != ESRCH) continue;
    if (at->last_write_time(ignored) < fs::file_time_type::clock::now() - kLongestPause)
      abandoned.push_back(at->path());
  }
  for (const fs::path& file : abandoned) fs::remove(file, ignored);
}

void write_panels(const fs::path& path, const std::vector<Entry>& entries, const std::string& stamp) {
  const c10::InferenceMode no_gradients;
  remove_abandoned(path);
  AtomicFile file(path);
  log_info("packing the weights for decoding, once: ", path.string());
  const std::string head = head_of(entries, stamp);
  file.write(head);
  PanelHashes hashes;
  hashes.add(std::string_view(head).substr(sizeof(std::uint64_t)));
  for (const Entry& entry : entries) {
    throw_if_interrupted();
    const Tensor values = entry.values().contiguous();
    ensure(values.sizes() == entry.like.sizes() && values.scalar_type() == entry.like.scalar_type(),
           "the weight '", entry.name, "' is ", values.sizes(), ", the model has ", entry.like.sizes());
    file.write({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
    hashes.add({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  }
  file.write(hashes.bytes());
  file.commit();
}

bool is_aligned(const TensorView& view) {
  return reinterpret_cast<std::uintptr_t>(view.bytes.data()) % dtype_size(view.dtype) == 0;
}

// The file at `path` if it holds the panels of this state of the weights.
std::shared_ptr<SafetensorsFile> open_panels(const fs::path& path, const std::vector<Entry>& entries,
                                             const std::string& stamp) {
  std::error_code unreachable;
  if (!fs::is_regular_file(path, unreachable)) return nullptr;
  try {
    auto file = std::make_shared<SafetensorsFile>(path);
    const auto found = file->metadata().find("stamp");
    if (found == file->metadata().end() || found->second != stamp) return nullptr;
    for (const Entry& entry : entries) {
      if (!file->contains(entry.name)) return nullptr;
      const TensorView& view = file->at(entry.name);
      if (view.shape != entry.like.sizes().vec() || view.dtype != nn::dtype_of(entry.like.scalar_type()) ||
          !is_aligned(view))
        return nullptr;
    }
    return file;
  } catch (const Error& error) {
    log_warning("making '", path.string(), "' anew: ", error.what());
    return nullptr;
  }
}

// Nobody else may have put a file into the user's cache folder; beside the weights lies what their owner has there.
bool is_own(const fs::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 && status.st_uid == ::geteuid();
}

// A folder that is made here is the user's alone.
void prepare_place(const fs::path& folder) {
  std::error_code told_below;
  fs::create_directories(folder.parent_path(), told_below);
  ::mkdir(folder.c_str(), S_IRWXU);
  prepare_output_directory(folder);
}

std::shared_ptr<SafetensorsFile> made_panels(const MappedWeights& weights, const std::vector<Entry>& entries,
                                             const std::string& stamp) {
  const std::vector<fs::path> places = panel_file_places(weights.files.front(), weights.format);
  for (const fs::path& place : places)
    if (&place == &places.front() || is_own(place))
      if (auto file = open_panels(place, entries, stamp)) return file;
  std::string reasons;
  for (const fs::path& place : places) {
    try {
      prepare_place(place.parent_path());
      write_panels(place, entries, stamp);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::io) throw;
      reasons += concat(reasons.empty() ? "" : "; ", error.what());
      continue;
    }
    if (auto file = open_panels(place, entries, stamp)) return file;
    fail(ErrorKind::io, "packing weights: '", place.string(), "' changed while it was written");
  }
  fail(ErrorKind::io, "packing weights for decoding in ", format_name(weights.format), ": ", reasons);
}

// A tensor in the map, which lives as long as it.
Tensor mapped(const std::shared_ptr<SafetensorsFile>& file, const std::string& name) {
  const TensorView& view = file->at(name);
  return at::from_blob(
      const_cast<std::byte*>(view.bytes.data()), view.shape, [file](void*) {},
      at::TensorOptions(nn::scalar_type(view.dtype)));
}

}  // namespace

std::vector<fs::path> panel_file_places(const fs::path& weights, DecodeFormat format) {
  const fs::path whole = fs::weakly_canonical(weights);
  const std::string ending = concat(".", format_name(format), ".panels");
  std::vector<fs::path> places = {whole.parent_path() / (whole.stem().string() + ending)};
  std::ostringstream hash;
  hash << std::hex << hash_string(whole.string());
  if (const auto cache = cache_folder())
    places.push_back(*cache / "panels" / concat(whole.stem().string(), "-", hash.str(), ending));
  return places;
}

std::unique_ptr<Transformer> map_transformer(const MappedWeights& weights) {
  ensure(!weights.config.codebook_embedding, "mapped weights have no codebooks of their own");
  const c10::InferenceMode ordinary_tensors(false);  // whose versions tell whether they changed
  auto transformer = std::make_unique<Transformer>(weights.config, weights.vocabulary, weights.layout,
                                                   nn::ParameterStart::shapes());
  Transformer::Network& network = transformer->network();
  const auto file =
      made_panels(weights, entries_of(network, weights), stamp_of(weights.files, weights.config));
  const ParameterNames names(network);
  const std::vector<PackedMatrix> matrices = packed_matrices(network, names);
  for (Tensor* tensor : plain_tensors(network)) {
    const std::string& name = names.of(*tensor);
    const bool changes =
        std::find(weights.changed.begin(), weights.changed.end(), name) != weights.changed.end();
    *tensor = changes ? mapped(file, name).clone() : mapped(file, name);
  }
  if (!network.head.defined()) network.output_rows = nn::CastWeight(network.embedding);
  for (const PackedMatrix& matrix : matrices) {
    kernels::DecodePanels panels = {mapped(file, matrix.name + ".panels"), {}, {}};
    if (weights.format == DecodeFormat::int8) {
      panels.scales = mapped(file, matrix.name + ".scales");
      panels.sums = mapped(file, matrix.name + ".sums");
    }
    matrix.weight->set_packed({std::move(panels), matrix.outputs, matrix.inputs, weights.format});
  }
  return transformer;
}

}  // namespace omni::model
