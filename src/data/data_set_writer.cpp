#include "data_set_writer.h"

#include <array>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/output_folder.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"
#include "omni/data/canonical_views.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/renderer.h"

namespace omni::data {
namespace {

constexpr std::int64_t kObjectsPerShard = 2048;
constexpr std::uint64_t kBytesPerShard = std::uint64_t{256} << 20;
constexpr const char* kManifest = "dataset.json";

const std::filesystem::path& require_only_data_set(const std::filesystem::path& out) {
  static constexpr std::array<std::string_view, 5> kWritten = {kManifest, "objects.jsonl", "shard-*.tar",
                                                               "skipped.csv", "warnings.csv"};
  require_only_written(out, kManifest, kWritten);
  return out;
}

}  // namespace

std::string view_name(const geometry::Camera& camera) {
  char name[48];
  std::snprintf(name, sizeof name, "a%03de%d", static_cast<int>(std::lround(camera.azimuth_degrees)),
                static_cast<int>(std::lround(camera.elevation_degrees)));
  return name;
}

EncodedObject encode_object(ObjectRecord record, std::span<const geometry::Camera> cameras, int render_size) {
  EncodedObject object;
  object.glb = geometry::encode_glb(record.mesh);
  if (!cameras.empty()) {
    const geometry::Renderer renderer(record.mesh);
    for (const geometry::Camera& camera : cameras) {
      object.renders.push_back(
          image::encode_png(renderer.render(camera, {.width = render_size, .height = render_size})));
      object.entry.renders.push_back({camera, {}});
    }
  }
  record.mesh = {};
  record.field.reset();
  object.entry.record = std::move(record);
  return object;
}

void check_renders(int renders, int render_size) {
  canonical_azimuth_bins(renders);
  if (render_size < 8 || render_size > 2048)
    fail(ErrorKind::usage, "rendering canonical views: ", render_size,
         " pixels a side were asked for. Give 8 to 2,048");
}

DataSetWriter::DataSetWriter(const std::filesystem::path& out)
    : directory_(require_only_data_set(out), kManifest) {}

void DataSetWriter::add(EncodedObject object) {
  ObjectEntry& entry = object.entry;
  ensure(is_valid_id(entry.record.id), "\"", entry.record.id, "\" cannot name an object");
  if (shard_ == nullptr) shard_ = std::make_unique<TarShardWriter>(staging_path() / shard_name(shards_));
  entry.shard = shards_;
  const std::string& id = entry.record.id;
  entry.mesh = shard_->add(id + ".glb", object.glb);
  const std::string description = write_object_description(entry);
  shard_->add(id + ".json", std::as_bytes(std::span(description)));
  for (std::size_t i = 0; i < object.renders.size(); ++i)
    entry.renders[i].bytes =
        shard_->add(id + "." + view_name(entry.renders[i].camera) + ".png", object.renders[i]);
  lines_ += write_object_entry(entry) + "\n";
  ++counts_[entry.record.split];
  if (entry.label.mode) ++labels_[std::string(label_mode_name(*entry.label.mode))];
  ++objects_;
  if (++objects_in_shard_ >= kObjectsPerShard || shard_->bytes_written() >= kBytesPerShard) finish_shard();
}

void DataSetWriter::finish_shard() {
  if (shard_ == nullptr) return;
  shard_->finish();
  shard_.reset();
  ++shards_;
  objects_in_shard_ = 0;
}

void DataSetWriter::commit(const DataSetSettings& settings) {
  finish_shard();
  write_file_atomically(staging_path() / "objects.jsonl", lines_);
  nlohmann::ordered_json manifest;
  manifest["format"] = "omni-data-set";
  manifest["version"] = 1;
  manifest["source"] = settings.source;
  // Of every line of objects.jsonl, which also says where each mesh lies and how long it is.
  manifest["fingerprint"] = hexadecimal(hash_string(lines_));
  manifest["objects"] = objects_;
  for (const auto& [split, count] : counts_) manifest["splits"][std::string(split_name(split))] = count;
  manifest["shards"] = shards_;
  if (settings.source == "procedural") {
    manifest["seed"] = hexadecimal(settings.seed);
    manifest["world"] = hexadecimal(settings.world_fingerprint);
  } else {
    manifest["up"] = settings.up;
    manifest["skipped"] = settings.skipped;
    manifest["epsilon"] = settings.epsilon;
    manifest["labels"] = labels_;
  }
  manifest["label"] = label_mode_name(settings.label);
  manifest["renders"] = settings.renders;
  manifest["render_size"] = settings.render_size;
  write_file_atomically(staging_path() / kManifest, json_text(manifest, 2) + "\n");
  directory_.commit();
}

}  // namespace omni::data
