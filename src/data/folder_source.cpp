#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "object_entry.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/mesh_files.h"
#include "tar_shard.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kMaximumObjectBytes = std::uint64_t{1} << 30;

struct Manifest {
  std::string source;
  geometry::LabelMode label = geometry::LabelMode::automatic;
  std::uint64_t fingerprint = 0, seed = 0, world = 0;
  std::int64_t objects = 0, shards = 0;
  float epsilon = geometry::MeshFieldOptions{}.epsilon;
};

[[noreturn]] void damaged(const fs::path& path, const std::string& what) {
  fail(ErrorKind::input, "reading ", path.string(), ": ", what, ". Write the data set anew");
}

std::uint64_t read_hexadecimal(const json& manifest, const char* key, const fs::path& path) {
  const std::string text = manifest.value(key, std::string());
  if (text.size() != 16 || text.find_first_not_of("0123456789abcdef") != std::string::npos)
    damaged(path, std::string("\"") + key + "\" is not 16 hexadecimal digits");
  return std::stoull(text, nullptr, 16);
}

geometry::LabelMode read_label_mode(const json& manifest, const fs::path& path) {
  const std::string name =
      manifest.value("label", std::string(label_mode_name(geometry::LabelMode::automatic)));
  try {
    return geometry::parse_label_mode(name);
  } catch (const Error&) {
    damaged(path, "the label mode \"" + name + "\" is unknown");
  }
}

Manifest read_manifest(const fs::path& path) {
  const json parsed = parse_json_or_discard(read_file_text(path, std::uint64_t{1} << 20));
  if (!parsed.is_object() || !parsed.contains("format") || parsed["format"] != "omni-data-set")
    damaged(path, "it is not the manifest of an omni data set");
  if (!parsed.contains("version") || parsed["version"] != 1)
    fail(ErrorKind::input, "reading ", path.string(), ": its format version is not 1. Use a newer program");
  Manifest manifest;
  try {
    manifest.source = parsed.at("source").get<std::string>();
    manifest.label = read_label_mode(parsed, path);
    manifest.epsilon = parsed.value("epsilon", manifest.epsilon);
    manifest.objects = parsed.at("objects").get<std::int64_t>();
    manifest.shards = parsed.at("shards").get<std::int64_t>();
    manifest.fingerprint = read_hexadecimal(parsed, "fingerprint", path);
    if (manifest.source == "procedural") {
      manifest.seed = read_hexadecimal(parsed, "seed", path);
      manifest.world = read_hexadecimal(parsed, "world", path);
    }
  } catch (const json::exception& error) {
    damaged(path, std::string("a field is missing or of another type (") + error.what() + ")");
  }
  return manifest;
}

std::vector<std::byte> read_range(const fs::path& path, ByteRange range) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    fail(ErrorKind::io, "cannot open '", path.string(), "': ", std::generic_category().message(errno));
  std::vector<std::byte> bytes(range.size);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pread(descriptor, bytes.data() + done, bytes.size() - done,
                              static_cast<off_t>(range.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  ::close(descriptor);
  if (done < bytes.size()) damaged(path, "it ends before the bytes of an object");
  return bytes;
}

}  // namespace

struct FolderSource::State {
  fs::path folder;
  Manifest manifest;
  std::uint64_t fingerprint = 0;
  std::vector<ObjectEntry> entries;
  std::unique_ptr<const ProceduralWorld> world;  // set if it is the one that the set was made from

  const ObjectEntry& entry(std::int64_t index) const {
    if (index < 0 || index >= static_cast<std::int64_t>(entries.size()))
      fail(ErrorKind::usage, "data set ", folder.string(), ": object ", index, " was asked for; there are ",
           entries.size());
    return entries[index];
  }
  bool has_closed_form(const ObjectEntry& e) const {
    return world != nullptr && e.procedural_object >= 0 && e.procedural_object < world->object_count();
  }
  fs::path shard_path(const ObjectEntry& e) const { return folder / shard_name(e.shard); }

  void read_entries(std::optional<Split> only);
  void check_places(const ObjectEntry& e, const std::vector<std::uint64_t>& shard_sizes,
                    const std::string& place) const;
};

void FolderSource::State::check_places(const ObjectEntry& e, const std::vector<std::uint64_t>& shard_sizes,
                                       const std::string& place) const {
  const auto inside = [&](ByteRange range) {
    return range.size > 0 && range.size <= kMaximumObjectBytes &&
           range.offset + range.size <= shard_sizes[e.shard];
  };
  if (e.shard >= static_cast<int>(shard_sizes.size()))
    fail(ErrorKind::input, "reading ", place, ": it names ", shard_name(e.shard), ", but there are ",
         shard_sizes.size(), " shards. The file is damaged");
  bool good = inside(e.mesh);
  for (const StoredRender& render : e.renders) good = good && inside(render.bytes);
  if (!good)
    fail(ErrorKind::input, "reading ", place, ": its bytes are not inside ", shard_name(e.shard),
         ". The archive is truncated or the line is damaged");
}

void FolderSource::State::read_entries(std::optional<Split> only) {
  std::vector<std::uint64_t> shard_sizes;
  if (manifest.shards < 0 || manifest.shards > 100000)
    damaged(folder / "dataset.json", "the count of shards is impossible");
  for (int i = 0; i < manifest.shards; ++i) {
    const fs::path path = folder / shard_name(i);
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    if (error)
      fail(ErrorKind::io, "cannot read '", path.string(), "': ", error.message(),
           ". The data set is incomplete");
    shard_sizes.push_back(size);
  }
  const fs::path path = folder / "objects.jsonl";
  const std::string text = read_file_text(path, std::uint64_t{8} << 30);
  std::int64_t line_number = 0;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    ++line_number;
    const std::string place = path.string() + ":" + std::to_string(line_number);
    ObjectEntry entry = read_object_entry(std::string_view(text).substr(start, end - start), place);
    check_places(entry, shard_sizes, place);
    if (!only || entry.record.split == *only) entries.push_back(std::move(entry));
    start = end + 1;
  }
  if (line_number != manifest.objects)
    damaged(path, "it has " + std::to_string(line_number) + " objects where the manifest counts " +
                      std::to_string(manifest.objects));
  if (hash_string(text) != manifest.fingerprint)
    damaged(path, "it differs from what the manifest was written for");
  fingerprint =
      only ? hash_combine(manifest.fingerprint, static_cast<std::uint64_t>(*only)) : manifest.fingerprint;
}

FolderSource::FolderSource(const fs::path& folder, std::optional<Split> only) {
  auto state = std::make_unique<State>();
  state->folder = folder;
  if (!fs::is_directory(folder))
    fail(ErrorKind::io, "opening data set '", folder.string(),
         "': no such folder. Make one with `omni data synth` or `import`");
  state->manifest = read_manifest(folder / "dataset.json");
  state->read_entries(only);
  if (state->manifest.source == "procedural") {
    auto world = std::make_unique<const ProceduralWorld>(state->manifest.seed);
    if (world->fingerprint() == state->manifest.world)
      state->world = std::move(world);
    else
      log_warning("data set ", folder.string(),
                  " was made from another version of the procedural world: its objects ",
                  "are labelled from their meshes");
  }
  state_ = std::move(state);
}

FolderSource::~FolderSource() = default;

std::int64_t FolderSource::size() const { return static_cast<std::int64_t>(state_->entries.size()); }
std::uint64_t FolderSource::fingerprint() const { return state_->fingerprint; }

ObjectRecord FolderSource::describe(std::int64_t index) const {
  const ObjectEntry& entry = state_->entry(index);
  const ObjectRecord& stored = entry.record;
  ObjectRecord record;
  record.id = stored.id;
  record.split = stored.split;
  record.class_name = stored.class_name;
  record.attributes = stored.attributes;
  record.captions = stored.captions;
  record.longest_side_m = stored.longest_side_m;
  record.parts = stored.parts;
  record.partly_buried = state_->has_closed_form(entry);
  return record;
}

ObjectRecord FolderSource::load(std::int64_t index) const {
  const ObjectEntry& entry = state_->entry(index);
  ObjectRecord record = describe(index);
  const fs::path path = state_->shard_path(entry);
  record.mesh = geometry::decode_glb(read_range(path, entry.mesh), path.string() + ":" + record.id + ".glb");
  if (state_->has_closed_form(entry))
    record.field = state_->world->field(entry.procedural_object);
  else
    record.field = std::make_unique<geometry::MeshField>(
        record.mesh, geometry::MeshFieldOptions{.mode = entry.label.mode.value_or(state_->manifest.label),
                                                .epsilon = state_->manifest.epsilon});
  return record;
}

std::vector<geometry::Camera> FolderSource::views(std::int64_t index) const {
  std::vector<geometry::Camera> cameras;
  for (const StoredRender& render : state_->entry(index).renders) cameras.push_back(render.camera);
  return cameras;
}

image::Image FolderSource::load_render(std::int64_t index, std::size_t view) const {
  const ObjectEntry& entry = state_->entry(index);
  if (view >= entry.renders.size())
    fail(ErrorKind::usage, "data set ", state_->folder.string(), ": object ", entry.record.id, " has ",
         entry.renders.size(), " renders; number ", view, " was asked for");
  const fs::path path = state_->shard_path(entry);
  return image::decode_image(
      read_range(path, entry.renders[view].bytes),
      path.string() + ":" + entry.record.id + "." + view_name(entry.renders[view].camera) + ".png");
}

}  // namespace omni::data
