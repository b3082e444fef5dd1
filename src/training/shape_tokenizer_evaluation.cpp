#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/data/palette.h"
#include "omni/data/shape_sample.h"
#include "omni/generation/shape_reconstruction.h"
#include "omni/tokenizers/code_use.h"
#include "omni/tokenizers/shape_sample.h"
#include "omni/training/shape_tokenizer_training.h"
#include "placed_field.h"

namespace omni::training {

using geometry::Vec3;

namespace {

constexpr int kColourPoints = 1024;
constexpr float kShift = 0.01f;  // in units of the frame
constexpr double kFlippedShare = 0.02;

// Parts are told apart by their colours, which differ within an object.
struct PartScore {
  std::int64_t parts = 0, right = 0;
};

PartScore score_parts(const data::ObjectRecord& record, const tokenizers::DecodedShape& decoded,
                      const geometry::SurfacePoints& surface) {
  std::vector<Vec3> colours(surface.positions.size());
  decoded.colour(surface.positions, colours);
  std::map<int, std::map<int, int>> votes;  // true palette colour -> decoded palette colour -> points
  for (std::size_t i = 0; i < colours.size(); ++i)
    ++votes[data::nearest_palette_colour(surface.colours[i])][data::nearest_palette_colour(colours[i])];
  PartScore score;
  std::set<int> counted;
  for (const auto& part : record.parts) {
    const int truth = data::nearest_palette_colour(part.colour);
    if (!votes.contains(truth) || !counted.insert(truth).second) continue;  // a part without visible surface
    const auto& own = votes.at(truth);
    const auto most =
        std::max_element(own.begin(), own.end(), [](auto& a, auto& b) { return a.second < b.second; });
    ++score.parts;
    score.right += most->first == truth;
  }
  return score;
}

double share_changed(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  std::size_t changed = 0;
  for (std::size_t i = 0; i < a.size(); ++i) changed += a[i] != b[i];
  return static_cast<double>(changed) / static_cast<double>(std::max<std::size_t>(1, a.size()));
}

tokenizers::ShapeSample with_flipped_surface_cells(tokenizers::ShapeSample sample, CounterRng& rng) {
  auto& grid = sample.grid;
  const int n = grid.resolution;
  std::vector<std::size_t> border;
  const auto inside = [&](int x, int y, int z) {
    return grid.occupancy[(static_cast<std::size_t>(z) * n + y) * n + x] >= 0.5f;
  };
  for (int z = 1; z + 1 < n; ++z)
    for (int y = 1; y + 1 < n; ++y)
      for (int x = 1; x + 1 < n; ++x) {
        const bool here = inside(x, y, z);
        if (inside(x - 1, y, z) != here || inside(x + 1, y, z) != here || inside(x, y - 1, z) != here ||
            inside(x, y + 1, z) != here || inside(x, y, z - 1) != here || inside(x, y, z + 1) != here)
          border.push_back((static_cast<std::size_t>(z) * n + y) * n + x);
      }
  for (const auto cell : border)
    if (rng.chance(kFlippedShare)) grid.occupancy[cell] = 1.0f - grid.occupancy[cell];
  return sample;
}

std::set<std::int64_t> chosen_objects(std::int64_t count, std::int64_t size, std::uint64_t seed) {
  CounterRng picks(seed, hash_string("held-out objects"));
  std::set<std::int64_t> chosen;
  while (static_cast<std::int64_t>(chosen.size()) < count)
    chosen.insert(static_cast<std::int64_t>(picks.below(static_cast<std::uint64_t>(size))));
  return chosen;
}

// How many codes change when the shape moves a little, and when surface cells flip.
void add_changes(const tokenizers::ShapeTokenizer& tokenizer, const data::ObjectRecord& record,
                 const tokenizers::ShapeSample& sample, const tokenizers::ShapeCodes& codes, CounterRng& rng,
                 ShapeTokenizerReport& report) {
  const PlacedField shifted(*record.field, Vec3{1, 1, 1}, Vec3{kShift, kShift, kShift});
  const auto moved = tokenizers::make_shape_sample(record.mesh, shifted, tokenizer.required_input(), rng);
  report.changed_by_shift +=
      share_changed(codes.geometry, tokenizer.encode(std::span(&moved, 1))[0].geometry);
  const auto noisy = with_flipped_surface_cells(sample, rng);
  report.changed_by_noise +=
      share_changed(codes.geometry, tokenizer.encode(std::span(&noisy, 1))[0].geometry);
}

}  // namespace

ShapeTokenizerReport evaluate_shape_tokenizer(const tokenizers::ShapeTokenizer& tokenizer,
                                              const data::ObjectSource& held_out, std::int64_t objects,
                                              std::uint64_t seed) {
  if (held_out.size() <= 0)
    fail(ErrorKind::input, "evaluating a shape tokenizer: the data set is empty. Give another");
  ShapeTokenizerReport report;
  report.objects = std::min(objects, held_out.size());
  for (const std::int64_t length : tokenizer.offered_lengths())
    if (length < tokenizer.geometry_code_count()) report.iou_by_length.emplace_back(length, 0.0);
  std::vector<double> ious;
  tokenizers::CodeUse use;
  std::int64_t right = 0;
  const tokenizers::ShapeInput input = tokenizer.required_input();
  const tokenizers::ShapeInput visible{.surface_points =
                                           tokenizer.colour_code_count() > 0 ? kColourPoints : 0};
  for (const auto index : chosen_objects(report.objects, held_out.size(), seed)) {
    throw_if_interrupted();
    const auto record = held_out.load(index);
    CounterRng rng(seed, hash_combine(2, static_cast<std::uint64_t>(index)));
    const auto sample = data::make_shape_sample(record, input, rng);
    const auto surface = data::make_shape_sample(record, visible, rng).surface;
    const auto all = generation::reconstruct(tokenizer, {record.mesh, *record.field, sample, surface});
    report.encode_ms += all.encode_ms;
    report.decode_ms += all.decode_ms;
    for (std::size_t i = 0; i < report.iou_by_length.size(); ++i)
      report.iou_by_length[i].second += all.lengths[i].volume_iou;
    const generation::Reconstruction& whole = all.lengths.back();
    ious.push_back(whole.volume_iou);
    use.add(whole.codes.geometry);
    if (whole.colour_error) {
      report.colour_error += *whole.colour_error;
      const PartScore score = score_parts(record, *whole.shape, surface);
      report.parts += score.parts;
      right += score.right;
    }
    if (input.grid_resolution > 0) add_changes(tokenizer, record, sample, whole.codes, rng, report);
  }
  const auto n = static_cast<double>(report.objects);
  for (auto& [length, iou] : report.iou_by_length) iou /= n;
  std::sort(ious.begin(), ious.end());
  report.iou = std::accumulate(ious.begin(), ious.end(), 0.0) / n;
  const auto tenth = std::max<std::size_t>(1, ious.size() / 10);
  report.iou_worst_tenth =
      std::accumulate(ious.begin(), ious.begin() + tenth, 0.0) / static_cast<double>(tenth);
  report.parts_coloured_right =
      report.parts > 0 ? static_cast<double>(right) / static_cast<double>(report.parts) : 0;
  report.code_perplexity = use.perplexity();
  report.codes_used = static_cast<double>(use.used()) / static_cast<double>(tokenizer.geometry_vocabulary());
  for (double* mean : {&report.colour_error, &report.changed_by_shift, &report.changed_by_noise,
                       &report.encode_ms, &report.decode_ms})
    *mean /= n;
  return report;
}

std::string to_text(const ShapeTokenizerReport& report) {
  const auto rounded = [](double value, double unit) { return std::round(value / unit) * unit; };
  std::string by_length;
  for (const auto& [length, iou] : report.iou_by_length)
    by_length += concat("volume IoU with ", length, " codes: ", rounded(iou, 1e-4), '\n');
  return concat(
      "objects: ", report.objects, "\nvolume IoU: ", rounded(report.iou, 1e-4),
      " (worst tenth: ", rounded(report.iou_worst_tenth, 1e-4), ")\n", by_length,
      "parts in the right colour: ",
      report.parts > 0 ? concat(rounded(100 * report.parts_coloured_right, 0.01), " % of ", report.parts)
                       : std::string("not known of this data"),
      report.colour_error > 0 ? concat("\ncolour error (0 to 255): ", rounded(report.colour_error, 0.01))
                              : std::string(),
      "\ncode perplexity: ", rounded(report.code_perplexity, 0.1),
      ", codes used: ", rounded(100 * report.codes_used, 0.1),
      " %\ncodes changed by a shift of 0.01: ", rounded(100 * report.changed_by_shift, 0.1),
      " %, by 2 % flipped surface cells: ", rounded(100 * report.changed_by_noise, 0.1),
      " %\nencode: ", rounded(report.encode_ms, 0.01), " ms, decode: ", rounded(report.decode_ms, 0.01),
      " ms per object\n");
}

}  // namespace omni::training
