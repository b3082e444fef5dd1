#include "sample_output.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/geometry/mesh_files.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using sequence::Modality;

constexpr int kPreviewPixels = 192;

// x.glb -> x_3.glb where there are several samples.
fs::path numbered(const fs::path& path, std::int64_t count, std::uint64_t number) {
  if (count == 1) return path;
  return path.parent_path() / concat(path.stem().string(), "_", number, path.extension().string());
}

void check_folder(const fs::path& file) {
  if (file.empty()) return;
  prepare_output_directory(file.has_parent_path() ? file.parent_path() : fs::path("."));
  if (fs::is_directory(file)) {
    fail(ErrorKind::usage, "writing ", file, ": it is a folder. Name a file.");
  }
}

bool makes(const sequence::Task& task, Modality modality) {
  return std::any_of(task.segments.begin(), task.segments.end(), [&](const sequence::TaskSegment& segment) {
    return segment.loss && segment.modality == modality;
  });
}

void write_codes(const fs::path& path, const generation::GeneratedSample& sample) {
  nlohmann::ordered_json segments = nlohmann::ordered_json::array();
  for (const sequence::Segment& segment : sample.document.segments) {
    nlohmann::ordered_json entry;
    entry["modality"] = sequence::modality_name(segment.modality());
    if (const auto* text = std::get_if<sequence::TextPayload>(&segment.payload))
      entry["tokens"] = text->tokens;
    if (const auto* image = std::get_if<sequence::ImagePayload>(&segment.payload))
      entry["codes"] = image->codes;
    if (const auto* shape = std::get_if<sequence::ShapePayload>(&segment.payload)) {
      entry["geometry"] = shape->geometry;
      entry["colour"] = shape->colour;
    }
    segments.push_back(std::move(entry));
  }
  write_file_atomically(path, segments.dump() + "\n");
}

}  // namespace

Modality modality_of_output(const fs::path& path) {
  const std::string extension = lower_extension(path);
  if (extension == ".txt") return Modality::text;
  if (extension == ".png") return Modality::image;
  for (const char* mesh : {".glb", ".obj", ".ply", ".stl"}) {
    if (extension == mesh) return Modality::shape;
  }
  fail(ErrorKind::usage, "choosing the output ", path, ": the extension \"", extension,
       "\" is not known. Use .glb, .obj, .ply, .stl, .png or .txt.");
}

void SampleOutput::check(const sequence::Task& task) const {
  generation::validate(mesh);
  if (out.empty() && preview.empty() && codes.empty() && !makes(task, Modality::text)) {
    fail(ErrorKind::usage, "preparing the task ", task.name,
         ": it makes more than text. Name a file with --out.");
  }
  if (!out.empty() && !makes(task, modality_of_output(out))) {
    fail(ErrorKind::usage, "preparing the task ", task.name, ": it makes no ",
         sequence::modality_name(modality_of_output(out)), " for ", out,
         ". Choose an output that fits the task.");
  }
  if (!preview.empty() && !makes(task, Modality::shape)) {
    fail(ErrorKind::usage, "preparing the task ", task.name,
         ": it makes no shape to preview. Leave out --preview.");
  }
  if (!preview.empty() && lower_extension(preview) != ".png") {
    fail(ErrorKind::usage, "choosing the preview ", preview, ": it is not a .png file.");
  }
  if (!codes.empty() && lower_extension(codes) != ".json") {
    fail(ErrorKind::usage, "choosing the file of codes ", codes, ": it is not a .json file.");
  }
  for (const fs::path& file : {out, preview, codes}) check_folder(file);
}

std::vector<image::Image> SampleOutput::write(const generation::GeneratedSample& sample) const {
  if (!codes.empty()) write_codes(numbered(codes, count, sample.sample_number), sample);
  const fs::path path = numbered(out, count, sample.sample_number);
  for (const std::string& text : sample.texts) {
    if (out.empty()) {
      std::cout << text << std::endl;
    } else if (modality_of_output(out) == Modality::text) {
      write_file_atomically(path, text + "\n");
    }
  }
  const bool image_out = !out.empty() && modality_of_output(out) == Modality::image;
  if (image_out && !sample.images.empty()) image::write_png(path, sample.images.back());
  if (sample.shapes.empty()) return {};

  const generation::GeneratedShape& shape = sample.shapes.back();
  generation::MeshOptions options = mesh;
  if (snap_to_box) options.snap_to_box = shape.box_shares;
  generation::ExtractedMesh extracted = generation::extract_mesh(*shape.field, options);
  if (extracted.mesh.triangles.empty()) {
    fail(ErrorKind::input, "extracting the mesh of sample ", sample.sample_number,
         ": the shape is empty. Try another seed or a lower temperature.");
  }
  ensure(extracted.health.healthy(), "the mesh of sample ", sample.sample_number,
         " is not closed and manifold");
  std::vector<image::Image> pictures;
  if (!preview.empty()) pictures = generation::render_around(extracted.mesh, kPreviewPixels);
  if (!out.empty() && modality_of_output(out) == Modality::shape) {
    for (std::size_t i = 0; i < sample.images.size(); ++i) {
      const std::string suffix = sample.images.size() > 1 ? concat("_image", i, ".png") : "_image.png";
      image::write_png(path.parent_path() / (path.stem().string() + suffix), sample.images[i]);
    }
    if (shape.longest_side_m) generation::scale_to_metres(extracted.mesh, *shape.longest_side_m);
    geometry::write_mesh(path, extracted.mesh);
    log_info(path.string(), ": ", extracted.mesh.triangles.size(), " triangles, ",
             shape.longest_side_m.value_or(geometry::kNormalisedLongestSide), " m");
  }
  return pictures;
}

}  // namespace omni::tools
