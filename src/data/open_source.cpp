#include "omni/data/open_source.h"

#include <algorithm>
#include <filesystem>

#include "mesh_folder_source.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEverySplit = "all";
constexpr std::string_view kManifestName = "dataset.json";  // tells a data set from other folders

// Some consecutive objects of a source. What an object is does not depend on how many there are, so the
// fingerprint leaves the count out.
class PartOfSource final : public ObjectSource {
 public:
  PartOfSource(std::unique_ptr<ObjectSource> whole, std::int64_t first, std::int64_t count)
      : whole_(std::move(whole)), first_(first), count_(count) {}

  std::int64_t size() const override { return count_; }
  ObjectRecord load(std::int64_t index) const override { return whole_->load(place(index)); }
  ObjectRecord describe(std::int64_t index) const override { return whole_->describe(place(index)); }
  std::unique_ptr<const geometry::SolidField> field(std::int64_t index) const override {
    return whole_->field(place(index));
  }
  std::uint64_t fingerprint() const override {
    const std::uint64_t whole = whole_->fingerprint();
    return first_ == 0 ? whole : hash_combine(whole, static_cast<std::uint64_t>(first_));
  }
  double variation() const override { return whole_->variation(); }

 private:
  std::int64_t place(std::int64_t index) const {
    if (index < 0 || index >= count_)
      fail(ErrorKind::usage, "loading object ", index, ": there are ", count_, ", numbered from 0");
    return index + first_;
  }

  std::unique_ptr<ObjectSource> whole_;
  std::int64_t first_, count_;
};

std::unique_ptr<ObjectSource> open_procedural(const SourceSpec& spec) {
  if (!spec.split)
    fail(ErrorKind::usage, "opening the procedural world: its splits are taken one by one, not all at once. ",
         "Name one, as in --split train");
  return std::make_unique<ProceduralSource>(
      ProceduralOptions{.seed = spec.seed,
                        .split = *spec.split,
                        .count = spec.count > 0 ? spec.skip + spec.count : 0,
                        .at_most = true,
                        .variation = spec.variation});
}

std::unique_ptr<ObjectSource> open_folder(const SourceSpec& spec) {
  const fs::path folder = spec.source;
  if (!fs::exists(folder)) {
    const bool meant_the_world = !nearest_word(spec.source, {std::string(kProcedural)}).empty();
    fail(ErrorKind::io, "opening the source of objects '", spec.source, "': there is no such folder. Give ",
         "the folder of a data set or of mesh files, or \"", kProcedural, "\"",
         meant_the_world ? " (is that what was meant?)" : "");
  }
  if (!fs::is_directory(folder))
    fail(ErrorKind::usage, "opening the source of objects '", spec.source,
         "': it is a file. Give the folder ", "that it lies in");
  if (fs::exists(folder / kManifestName)) return std::make_unique<FolderSource>(folder, spec.split);
  return std::make_unique<MeshFolderSource>(folder, spec.labels);
}

void check(const SourceSpec& spec) {
  const auto require = [&](bool holds, const auto&... reason) {
    if (!holds) fail(ErrorKind::usage, "opening the source of objects '", spec.source, "': ", reason...);
  };
  constexpr std::int64_t kMaximum = std::int64_t{1} << 40;
  require(!spec.source.empty(), "its name is empty. Give a folder, or \"", kProcedural, "\"");
  require(spec.skip >= 0 && spec.skip <= kMaximum && spec.count >= 0 && spec.count <= kMaximum,
          "skip and count are whole numbers from 0 on");
  require(contains(geometry::kEpsilons, spec.labels.epsilon), "epsilon is ", spec.labels.epsilon,
          ". Give a number ", range_text(geometry::kEpsilons));
  require(spec.source == kProcedural || spec.variation == 0,
          "variation is for the procedural world; objects of a folder are what they are. Leave it out");
  const bool labelled = spec.source == kProcedural || fs::exists(fs::path(spec.source) / kManifestName);
  require(!labelled || spec.labels == geometry::MeshFieldOptions{},
          "label and epsilon are for mesh files; these objects have been labelled already. Leave them out");
}

}  // namespace

void describe(ConfigVisitor& visitor, SourceSpec& spec) {
  visitor.text("source", spec.source);
  auto seed = static_cast<std::int64_t>(spec.seed);
  visitor.integer("seed", seed, {.minimum = 0});
  // The spelling of older files: read, never written.
  visitor.added_later(true, [&](ConfigVisitor& older) { older.integer("world_seed", seed, {.minimum = 0}); });
  spec.seed = static_cast<std::uint64_t>(seed);

  visitor.added_later(spec.variation == 0,
                      [&](ConfigVisitor& later) { later.number("variation", spec.variation, kVariations); });

  const geometry::MeshFieldOptions automatic;
  std::string label(label_mode_name(spec.labels.mode));
  visitor.added_later(spec.labels.mode == automatic.mode, [&](ConfigVisitor& later) {
    later.choice("label", label, geometry::label_mode_names());
  });
  spec.labels.mode = geometry::parse_label_mode(label);
  double epsilon = spec.labels.epsilon;
  visitor.added_later(spec.labels.epsilon == automatic.epsilon,
                      [&](ConfigVisitor& later) { later.number("epsilon", epsilon, geometry::kEpsilons); });
  spec.labels.epsilon = static_cast<float>(epsilon);
}

std::optional<Split> parse_split_choice(std::string_view name) {
  if (name == kEverySplit) return std::nullopt;
  try {
    return parse_split(name);
  } catch (const Error& error) {
    fail(error.kind(), error.what(), " Here all is a choice, too.");
  }
}

std::unique_ptr<ObjectSource> open_source(const SourceSpec& spec) {
  check(spec);
  std::unique_ptr<ObjectSource> whole =
      spec.source == kProcedural ? open_procedural(spec) : open_folder(spec);
  const std::int64_t size = whole->size();
  if (spec.skip > 0 && spec.skip >= size)
    fail(ErrorKind::usage, "opening the source of objects '", spec.source, "': skipping ", spec.skip, " of ",
         size, " objects leaves none");
  const std::int64_t left = size - spec.skip;
  const std::int64_t count = spec.count > 0 ? std::min(spec.count, left) : left;
  if (spec.skip == 0 && count == size) return whole;
  return std::make_unique<PartOfSource>(std::move(whole), spec.skip, count);
}

}  // namespace omni::data
