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
#include <utility>

#include "omni/core/error.h"
#include "omni/core/file_turn.h"
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
constexpr int kLayout = 3;
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
  for (FeatureProjection& projection : network.feature_projections)
    tensors.insert(tensors.end(), {&projection.weight, &projection.bias});
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

// What the file has of a matrix, by the ends of the names; which of them, its values decide.
using PanelPart = std::pair<const char*, Tensor DecodePanels::*>;
constexpr std::array<PanelPart, 6> kPanelParts = {{{".panels", &DecodePanels::panels},
                                                   {".scales", &DecodePanels::scales},
                                                   {".sums", &DecodePanels::sums},
                                                   {".tables", &DecodePanels::tables},
                                                   {".starts", &DecodePanels::starts},
                                                   {".exceptions", &DecodePanels::exceptions}}};

// The file as it is written: the matrices' panels, then all else as it is; a tied embedding is both.
class PanelWriter {
 public:
  PanelWriter(const fs::path& path, std::size_t tensors, const std::string& stamp)
      : file_(path), stamp_(stamp), head_bytes_(longest_head(tensors)) {
    file_.write(std::string(head_bytes_, ' '));
  }

  void add(const std::string& name, const Tensor& tensor) {
    throw_if_interrupted();
    const Tensor values = tensor.contiguous();
    tensors_.push_back({name, nn::dtype_of(values.scalar_type()), values.sizes().vec()});
    file_.write({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
    hashes_.add({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  }

  void finish() {
    tensors_.push_back(PanelHashes::description(tensors_.size()));
    const std::string head = safetensors_head(tensors_, {{"stamp", stamp_}}, head_bytes_);
    ensure(head.size() == head_bytes_, "a header of ", head.size(), " bytes, ", head_bytes_,
           " are kept for it");
    file_.rewrite_start(head);
    hashes_.set_header(std::string_view(head).substr(sizeof(std::uint64_t)));
    file_.write(hashes_.bytes());
    file_.commit();
  }

 private:
  // What is written is known when it has been packed; room for all that it may take is left before.
  std::size_t longest_head(std::size_t tensors) const {
    constexpr std::size_t kLongestName = 200, kLongestDescription = 200;
    const std::size_t bytes = stamp_.size() + (tensors + 2) * (kLongestName + kLongestDescription);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  AtomicFile file_;
  std::string stamp_;
  std::size_t head_bytes_;
  std::vector<TensorDescription> tensors_;
  PanelHashes hashes_;
};

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

void write_panels(const fs::path& path, Transformer::Network& network, const MappedWeights& weights,
                  const std::string& stamp) {
  const c10::InferenceMode no_gradients;
  remove_abandoned(path);
  const ParameterNames names(network);
  const std::vector<PackedMatrix> matrices = packed_matrices(network, names);
  const std::vector<Tensor*> others = plain_tensors(network);
  PanelWriter writer(path, matrices.size() * kPanelParts.size() + others.size(), stamp);
  log_info("packing the weights for decoding, once: ", path.string());
  for (const PackedMatrix& matrix : matrices) {
    const Tensor values = weights.values(matrix.name, {matrix.outputs, matrix.inputs});
    const DecodePanels panels = kernels::DecodeWeight::shortest(values, weights.format).panels();
    for (const auto& [ending, part] : kPanelParts)
      if ((panels.*part).defined()) writer.add(matrix.name + ending, panels.*part);
  }
  for (const Tensor* tensor : others) {
    const std::string& name = names.of(*tensor);
    const Tensor values = weights.values(name, tensor->sizes()).to(at::kFloat);
    ensure(values.sizes() == tensor->sizes(), "the weight '", name, "' is ", values.sizes(),
           ", the model has ", tensor->sizes());
    writer.add(name, values);
  }
  writer.finish();
}

bool is_aligned(const TensorView& view) {
  return reinterpret_cast<std::uintptr_t>(view.bytes.data()) % dtype_size(view.dtype) == 0;
}

// A tensor in the map, which lives as long as it; none where the file does not have it.
Tensor mapped(const std::shared_ptr<SafetensorsFile>& file, const std::string& name) {
  if (!file->contains(name)) return {};
  const TensorView& view = file->at(name);
  if (!is_aligned(view)) return {};
  return at::from_blob(
      const_cast<std::byte*>(view.bytes.data()), view.shape, [file](void*) {},
      at::TensorOptions(nn::scalar_type(view.dtype)));
}

DecodePanels mapped_panels(const std::shared_ptr<SafetensorsFile>& file, const std::string& matrix) {
  DecodePanels panels;
  for (const auto& [ending, part] : kPanelParts) panels.*part = mapped(file, matrix + ending);
  return panels;
}

// The file at `path` if it holds the panels of this state of the weights.
std::shared_ptr<SafetensorsFile> open_panels(const fs::path& path, Transformer::Network& network,
                                             DecodeFormat format, const std::string& stamp) {
  std::error_code unreachable;
  if (!fs::is_regular_file(path, unreachable)) return nullptr;
  try {
    auto file = std::make_shared<SafetensorsFile>(path);
    const auto found = file->metadata().find("stamp");
    if (found == file->metadata().end() || found->second != stamp) return nullptr;
    const ParameterNames names(network);
    for (const PackedMatrix& matrix : packed_matrices(network, names))
      if (!kernels::are_panels_of(mapped_panels(file, matrix.name), matrix.outputs, matrix.inputs, format))
        return nullptr;
    for (const Tensor* tensor : plain_tensors(network)) {
      const Tensor values = mapped(file, names.of(*tensor));
      if (!values.defined() || values.sizes() != tensor->sizes() || values.scalar_type() != at::kFloat)
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

std::shared_ptr<SafetensorsFile> made_panels(Transformer::Network& network, const MappedWeights& weights) {
  const std::string stamp = stamp_of(weights.files, weights.config);
  const std::vector<fs::path> places = panel_file_places(weights.files.front(), weights.format);
  const auto found = [&]() -> std::shared_ptr<SafetensorsFile> {
    for (const fs::path& place : places)
      if (&place == &places.front() || is_own(place))
        if (auto file = open_panels(place, network, weights.format, stamp)) return file;
    return nullptr;
  };
  if (auto file = found()) return file;
  // Programs that start together pack once.
  const FileTurn turn(weights.files.front(), "waiting for another program, which packs these weights");
  if (auto file = found()) return file;
  std::string reasons;
  for (const fs::path& place : places) {
    try {
      prepare_place(place.parent_path());
      write_panels(place, network, weights, stamp);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::io) throw;
      reasons += concat(reasons.empty() ? "" : "; ", error.what());
      continue;
    }
    if (auto file = open_panels(place, network, weights.format, stamp)) return file;
    fail(ErrorKind::io, "packing weights: '", place.string(), "' changed while it was written");
  }
  fail(ErrorKind::io, "packing weights for decoding in ", format_name(weights.format), ": ", reasons,
       ". Or name a folder for them: XDG_CACHE_HOME");
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
  const auto file = made_panels(network, weights);
  const ParameterNames names(network);
  const std::vector<PackedMatrix> matrices = packed_matrices(network, names);
  for (Tensor* tensor : plain_tensors(network)) {
    const std::string& name = names.of(*tensor);
    const bool changes =
        std::find(weights.changed.begin(), weights.changed.end(), name) != weights.changed.end();
    *tensor = changes ? mapped(file, name).clone() : mapped(file, name);
  }
  if (!network.head.defined()) network.output_rows = nn::CastWeight(network.embedding);
  for (const PackedMatrix& matrix : matrices)
    matrix.weight->set_packed(
        {mapped_panels(file, matrix.name), matrix.outputs, matrix.inputs, weights.format});
  return transformer;
}

}  // namespace omni::model
