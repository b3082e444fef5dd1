#include "sample_output.h"

#include <array>
#include <charconv>
#include <iostream>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/tokenizers/shape_codes_file.h"

namespace omni::tools {
namespace {

using generation::GeneratedSample;
using sequence::Modality;

constexpr std::size_t kPlacesTold = 20;

std::string segment_json(const sequence::Segment& segment) {
  if (const auto* shape = std::get_if<sequence::ShapePayload>(&segment.payload)) {
    tokenizers::StoredShape stored{.codes = {shape->geometry, shape->colour}, .longest_side_m = {}};
    if (shape->size) stored.longest_side_m = sequence::size_of_bin(*shape->size);
    return tokenizers::shape_segment_json(stored);
  }
  nlohmann::ordered_json entry;
  entry["modality"] = sequence::modality_name(segment.modality());
  if (const auto* text = std::get_if<sequence::TextPayload>(&segment.payload)) entry["tokens"] = text->tokens;
  if (const auto* image = std::get_if<sequence::ImagePayload>(&segment.payload))
    entry["codes"] = image->codes;
  return json_text(entry);
}

// One line of JSON: the document's segments in order.
std::string document_json(const sequence::Document& document) {
  std::string list;
  for (const sequence::Segment& segment : document.segments) {
    list += (list.empty() ? "" : ",") + segment_json(segment);
  }
  return "[" + list + "]\n";
}

[[noreturn]] void reject(const sequence::Task& task, std::string_view reason) {
  fail(ErrorKind::usage, "preparing the task ", task.name, ": ", reason);
}

// As a path that tells whether two are of one file.
std::filesystem::path place_of(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path whole =
      std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
  return error ? path : whole;
}

void check_out(const ResultFile& out, const sequence::Task& task) {
  const Modality modality = modality_of_output(out.path());
  if (sequence::makes(task, modality)) return;
  reject(task, concat("it makes no ", sequence::modality_name(modality), " for ", out.path(),
                      ". Choose an output that fits the task."));
}

}  // namespace

float longest_side_m(const generation::GeneratedShape& shape) {
  if (shape.longest_side_m) return *shape.longest_side_m;
  const geometry::Bounds bounds = shape.mesh->mesh.bounds();
  return bounds.extent()[bounds.longest_axis()];
}

SampleOutput::SampleOutput(const SampleArguments& arguments, const sequence::Task& task)
    : out_(arguments.out, arguments.format, "glb"),
      preview_(arguments.preview, "", ""),
      turntable_(arguments.turntable, "", ""),
      codes_(arguments.codes, "", "json"),
      count_(arguments.count) {
  const bool any_file = out_.wanted() || preview_.wanted() || turntable_.wanted() || codes_.wanted();
  if (!any_file && !sequence::makes(task, Modality::text)) {
    reject(task, "it makes more than text. Name a file with --out.");
  }
  if (out_.wanted()) check_out(out_, task);
  if (preview_.wanted()) {
    if (!sequence::makes(task, Modality::shape)) {
      reject(task, "it makes no shape to preview. Leave out --preview.");
    }
    if (preview_.is_standard_output()) reject(task, "a preview goes to a file. Name one with --preview.");
    image::require_image_file(preview_.path());
  }
  if (turntable_.wanted()) {
    if (!sequence::makes(task, Modality::shape))
      reject(task, "it makes no shape for --turntable. Leave it out.");
    if (turntable_.is_standard_output() || turntable_.path().extension() != ".png")
      reject(task, "a turntable goes to a .png file. Name one with --turntable.");
  }
  if (codes_.wanted() && codes_.path().extension() == ".npy") {
    if (!sequence::makes(task, Modality::shape))
      reject(task, concat("it makes no shape, whose codes ", codes_.path(), " could hold. Use .json."));
  } else if (codes_.wanted() && codes_.path().extension() != ".json") {
    fail(ErrorKind::usage, "choosing the file of codes ", codes_.path(),
         ": it is neither a .json nor an .npy file.");
  }
  if (out_.is_standard_output() && codes_.is_standard_output()) {
    reject(task, "--out and --codes cannot both go to standard output. Name a file for one of them.");
  }
  if (out_.is_standard_output() && count_ != 1) {
    reject(task, concat("standard output takes one sample, not ", count_, ". Name a file with --out."));
  }
  check_paths(arguments);
  if (arguments.mesh.faces > 0 && !wants_meshes()) log_warning("--faces has no effect: no mesh is made");
  for (const ResultFile* file : {&out_, &preview_, &turntable_, &codes_}) file->check_place();
}

bool SampleOutput::writes(const ResultFile& file, const std::filesystem::path& path) const {
  if (!file.wanted() || file.is_standard_output()) return false;
  if (count_ == 1 || &file == &preview_) return place_of(file.path()) == place_of(path);
  if (place_of(file.path()).parent_path() != place_of(path).parent_path()) return false;
  const std::string name = path.filename().string(), start = file.path().stem().string() + "_";
  std::uint64_t number = 0;
  if (name.starts_with(start)) std::from_chars(name.data() + start.size(), name.data() + name.size(), number);
  return number < static_cast<std::uint64_t>(count_) && file.numbered(number).path().filename() == name;
}

void SampleOutput::check_paths(const SampleArguments& arguments) const {
  const std::array<std::pair<const char*, const ResultFile*>, 4> files = {
      {{"--preview", &preview_}, {"--out", &out_}, {"--turntable", &turntable_}, {"--codes", &codes_}}};
  std::vector<std::string> inputs = arguments.images;
  inputs.insert(inputs.end(), arguments.meshes.begin(), arguments.meshes.end());
  if (!arguments.first_codes.empty()) inputs.push_back(arguments.first_codes);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& [option, file] = files[i];
    if (!file->wanted() || file->is_standard_output()) continue;
    for (std::size_t k = i + 1; k < files.size(); ++k) {
      const auto& [other, second] = files[k];
      const bool both_numbered = count_ > 1 && file != &preview_;
      const bool alike = second->wanted() && !second->is_standard_output() &&
                         place_of(file->path()) == place_of(second->path());
      if (both_numbered ? alike : writes(*second, file->path()))
        fail(ErrorKind::usage, option, " and ", other, " would both write ", file->path(),
             ". Give each a file of its own");
    }
    for (const std::string& input : inputs)
      if (writes(*file, input))
        fail(ErrorKind::usage, option, " would overwrite ", std::filesystem::path(input),
             ", which is read. Name another file");
  }
}

bool SampleOutput::wants_meshes() const {
  return preview_.wanted() || turntable_.wanted() ||
         (out_.wanted() && modality_of_output(out_.path()) == Modality::shape);
}

ResultFile SampleOutput::file_of(const ResultFile& file, const GeneratedSample& sample) const {
  const bool alone = count_ == 1 || !file.wanted() || file.is_standard_output();
  return alone ? file : file.numbered(sample.sample_number);
}

void SampleOutput::write(const GeneratedSample& sample) {
  write_codes(sample);
  const ResultFile file = file_of(out_, sample);
  write_texts(sample, file);
  if (file.wanted() && modality_of_output(file.path()) == Modality::image && !sample.images.empty()) {
    file.write(image::encode_image(sample.images.back(), file.path()));
  }
  if (wants_meshes() && !write_shape(sample, file)) return;
  ++written_;
  std::string place = main_place(sample);
  if (places_.size() < kPlacesTold && (places_.empty() || places_.back() != place))
    places_.push_back(std::move(place));
}

std::string SampleOutput::main_place(const GeneratedSample& sample) const {
  for (const ResultFile* file : {&out_, &turntable_, &codes_})
    if (file->wanted() && !file->is_standard_output()) return file_of(*file, sample).path().string();
  return preview_.wanted() ? preview_.path().string() : "standard output";
}

std::string SampleOutput::told_of_written() const {
  if (written_ == 0) return "nothing is written";
  std::string places;
  for (const std::string& place : places_) places += (places.empty() ? "" : ", ") + place;
  if (places_.size() == kPlacesTold && written_ > static_cast<std::int64_t>(kPlacesTold)) places += ", ...";
  return concat(written_, " of ", count_, " samples ", written_ == 1 ? "is" : "are", " written: ", places);
}

void SampleOutput::write_codes(const GeneratedSample& sample) const {
  if (!codes_.wanted()) return;
  const ResultFile file = file_of(codes_, sample);
  if (file.path().extension() == ".npy") return write_shape_codes(file.path(), sample.shapes.back().codes);
  file.write(document_json(sample.document));
}

void SampleOutput::write_texts(const GeneratedSample& sample, const ResultFile& file) const {
  for (const std::string& text : sample.texts) {
    if (file.wanted() && modality_of_output(file.path()) == Modality::text) file.write(text + "\n");
    if (!file.wanted() && !codes_.is_standard_output()) std::cout << text << std::endl;
  }
}

bool SampleOutput::write_shape(const GeneratedSample& sample, const ResultFile& file) {
  const generation::GeneratedShape& shape = sample.shapes.back();
  const geometry::Mesh& mesh = shape.mesh->mesh;
  if (shape.mesh->empty()) {
    failure_ = concat("extracting the mesh of sample ", sample.sample_number,
                      ": the shape is empty. Try another seed or a lower temperature.");
    log_warning(failure_);
    return false;
  }
  ensure(shape.mesh->health.healthy(), "the mesh of sample ", sample.sample_number,
         " is not closed and manifold");
  if (preview_.wanted()) {
    for (image::Image& picture : generation::labelled_around(mesh, kPreviewPixels)) {
      pictures_.push_back(std::move(picture));
    }
  }
  if (turntable_.wanted()) file_of(turntable_, sample).write(generation::encode_turntable(mesh, {}));
  if (!file.wanted() || modality_of_output(file.path()) != Modality::shape) return true;
  for (std::size_t i = 0; i < sample.images.size() && !file.is_standard_output(); ++i) {
    const std::string suffix = sample.images.size() > 1 ? concat("_image", i, ".png") : "_image.png";
    image::write_png(file.path().parent_path() / (file.path().stem().string() + suffix), sample.images[i]);
  }
  file.write(generation::encode_file(*shape.mesh, file.path()));
  log_info(file.is_standard_output() ? "standard output" : file.path().string(), ": ", mesh.triangles.size(),
           " triangles, ", longest_side_m(shape), " m");
  return true;
}

void SampleOutput::write_preview() const {
  if (!pictures_.empty()) image::write_image(preview_.path(), image::contact_sheet(pictures_, 4));
}

void SampleOutput::finish() const {
  write_preview();
  if (!failure_.empty()) fail(ErrorKind::input, failure_);
}

}  // namespace omni::tools
