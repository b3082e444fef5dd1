#include "omni/data/procedural_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <unordered_set>

#include "object_class.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/data/palette.h"
#include "omni/data/shape_sample.h"
#include "omni/geometry/mesh_health.h"
#include "omni/geometry/occupancy_bits.h"
#include "primitive_solid.h"

namespace omni::data {
namespace {

using geometry::Vec3;

constexpr std::uint64_t kSeed = 7;

const ProceduralWorld& world() {
  static const ProceduralWorld instance(kSeed);
  return instance;
}

// Every object with sizes of its own.
const ProceduralWorld& varied_world() {
  static const ProceduralWorld instance(kSeed, 1.0);
  return instance;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    while (!word.empty() && word.back() == ',') word.pop_back();
    words.push_back(word);
  }
  return words;
}

bool mentions(const std::string& caption, const std::string& phrase) {
  std::string plain;
  for (const std::string& word : words_of(caption)) plain += " " + word;
  return (plain + " ").find(" " + phrase + " ") != std::string::npos;
}

const PrimitiveSolid& solid_of(const ObjectRecord& record) {
  return dynamic_cast<const PrimitiveSolid&>(*record.field);
}

TEST(ProceduralWorld, HasTheSizeThatItPromises) {
  EXPECT_GE(world().class_count(), 24);
  EXPECT_GE(world().geometry_count(), 2000);
  EXPECT_LE(world().geometry_count(), 3500);
  EXPECT_GE(world().object_count(), 50000);
  std::map<Split, std::int64_t> sizes;
  std::int64_t left_out = 0;
  for (std::int64_t o = 0; o < world().object_count(); ++o) {
    if (const auto split = world().split_of(o))
      ++sizes[*split];
    else
      ++left_out;
  }
  EXPECT_GT(sizes[Split::train], world().object_count() / 3);
  for (const Split split :
       {Split::new_instance, Split::unseen_colour, Split::unseen_attribute, Split::unseen_count})
    EXPECT_GT(sizes[split], 1000) << split_name(split);
  for (const auto& [split, size] : sizes)
    RecordProperty(std::string(split_name(split)), std::to_string(size));
  RecordProperty("left_out", std::to_string(left_out));
}

void expect_chunky_and_filling_the_frame(const ProceduralWorld& world, float thinnest) {
  for (std::int64_t g = 0; g < world.geometry_count(); ++g) {
    const ObjectRecord record = world.make(world.first_object_of_geometry(g));
    geometry::Bounds bounds;
    for (const Primitive& p : solid_of(record).primitives()) {
      bounds.include(primitive_bounds(p).low);
      bounds.include(primitive_bounds(p).high);
      EXPECT_GE(thinnest_extent(p), thinnest)
          << record.captions[0].text << " kind " << static_cast<int>(p.kind);
    }
    EXPECT_NEAR(length(bounds.centre()), 0, 1e-5f);
    const Vec3 extent = bounds.extent();
    EXPECT_NEAR(std::max({extent.x, extent.y, extent.z}), 1.92f, 1e-5f);
    const Vec3 mesh_extent = record.mesh.bounds().extent();
    EXPECT_NEAR(std::max({mesh_extent.x, mesh_extent.y, mesh_extent.z}), 1.92f, 1e-4f)
        << record.captions[0].text;
    EXPECT_GT(record.longest_side_m, 0.02f);
    EXPECT_LT(record.longest_side_m, 50.0f);
  }
}

TEST(ProceduralWorld, EveryGeometryFillsTheFrameAndIsChunky) {
  expect_chunky_and_filling_the_frame(world(), 0.139f);
}

TEST(ProceduralWorld, VariedObjectsFillTheFrameAndAreChunky) {
  expect_chunky_and_filling_the_frame(varied_world(), 0.12f);
}

TEST(ProceduralWorld, NoTwoVariedObjectsOfAGeometryAreAlike) {
  for (std::int64_t g = 0; g < world().geometry_count(); g += 17) {
    const std::int64_t object = world().first_object_of_geometry(g);
    const auto differ = [](const ProceduralWorld& world, std::int64_t a, std::int64_t b) {
      const geometry::OccupancyBits first(*world.field(a), 64), second(*world.field(b), 64);
      return geometry::intersection_over_union(first, second) < 1;
    };
    EXPECT_FALSE(differ(world(), object, object + 1)) << world().captions(object)[0].text;
    EXPECT_TRUE(differ(varied_world(), object, object + 1)) << world().captions(object)[0].text;
    EXPECT_FALSE(differ(varied_world(), object, object));
    EXPECT_EQ(world().captions(object)[0].text, varied_world().captions(object)[0].text);
    EXPECT_EQ(world().split_of(object), varied_world().split_of(object));
  }
  EXPECT_NE(world().fingerprint(), varied_world().fingerprint());
  EXPECT_THROW(ProceduralWorld(kSeed, 1.5), Error);
}

TEST(ProceduralWorld, SizesStayInTheirBins) {
  for (const std::initializer_list<float> centres :
       {std::initializer_list<float>{0.1f, 0.2f}, {0.5f, 0.75f, 1.05f}, {0.14f, 0.11f, 0.1f}}) {
    const bool rises = centres.begin()[1] > centres.begin()[0];
    float last = rises ? 0.0f : 1.0f;
    for (int bin = 0; bin < static_cast<int>(centres.size()); ++bin) {
      EXPECT_EQ(Bins({&bin, 1}).pick(0, centres), centres.begin()[bin]);
      for (const float place : {-1.0f, -0.5f, 0.0f, 0.5f, 1.0f}) {
        const float size = Bins({&bin, 1}, {&place, 1}).pick(0, centres);
        EXPECT_TRUE(rises ? size > last : size < last) << bin << ' ' << place;
        last = size;
        const auto nearest = std::min_element(centres.begin(), centres.end(), [&](float a, float b) {
          return std::abs(a - size) < std::abs(b - size);
        });
        EXPECT_EQ(nearest - centres.begin(), bin);
      }
    }
  }
}

TEST(ProceduralWorld, SizesVaryAndKindsDoNot) {
  std::set<std::string> measured, kinds;
  for (const ObjectClass& kind : object_classes())
    for (const AttributeSpec& attribute : kind.attributes)
      (is_measured(attribute) ? measured : kinds).insert(attribute.name);
  for (const char* name :
       {"height", "width", "length", "depth", "legs thickness", "handle size", "cabin height"})
    EXPECT_EQ(measured.count(name), 1u) << name;
  for (const char* name : {"seat form", "relation", "side", "top", "wheels", "direction", "tip", "body"})
    EXPECT_EQ(kinds.count(name), 1u) << name;
}

TEST(ProceduralWorld, MeshesAreClosedAndManifold) {
  for (std::int64_t g = 0; g < world().geometry_count(); g += 3) {
    const ObjectRecord record = world().make(world().first_object_of_geometry(g));
    const geometry::MeshHealth health = geometry::inspect(record.mesh);
    EXPECT_TRUE(health.closed()) << record.captions[0].text;
    EXPECT_TRUE(health.manifold()) << record.captions[0].text;
    EXPECT_LT(health.triangles, 6000);
    EXPECT_EQ(record.mesh.colours.size(), record.mesh.positions.size());
  }
}

TEST(ProceduralWorld, MeshAgreesWithTheClosedFormOnRandomPoints) {
  CounterRng rng(3);
  for (std::int64_t g = 0; g < world().geometry_count(); g += 53) {
    const ObjectRecord record = world().make(world().first_object_of_geometry(g));
    for (int i = 0; i < 60; ++i) {
      const Vec3 p{static_cast<float>(rng.uniform(-1, 1)), static_cast<float>(rng.uniform(-1, 1)),
                   static_cast<float>(rng.uniform(-1, 1))};
      float nearest = 1e9f;
      for (const Primitive& primitive : solid_of(record).primitives())
        nearest = std::min(nearest, std::abs(signed_distance(primitive, p)));
      if (nearest < 0.02f) continue;
      double winding = 0;
      for (const auto& t : record.mesh.triangles) {
        const Vec3 a = record.mesh.positions[t[0]] - p, b = record.mesh.positions[t[1]] - p,
                   c = record.mesh.positions[t[2]] - p;
        const double la = length(a), lb = length(b), lc = length(c);
        winding += 2 * std::atan2(static_cast<double>(dot(a, cross(b, c))),
                                  la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb);
      }
      winding /= 4 * 3.14159265358979;
      std::uint8_t inside = 0;
      record.field->occupancy({&p, 1}, {&inside, 1});
      EXPECT_EQ(inside != 0, winding > 0.5) << record.captions[0].text;
    }
  }
}

TEST(ProceduralWorld, EveryPartShowsOnTheSurface) {
  for (std::int64_t g = 0; g < world().geometry_count(); ++g) {
    const ObjectRecord record = world().make(world().first_object_of_geometry(g));
    const tokenizers::ShapeSample sample = make_shape_sample(record, {.grid_resolution = 32}, CounterRng(1));
    std::vector<int> cells(record.parts.size(), 0);
    for (std::size_t i = 0; i < sample.grid.occupancy.size(); ++i) {
      if (sample.grid.occupancy[i] < 0.5f) continue;
      const std::uint8_t* c = &sample.grid.colours[3 * i];
      const Vec3 colour =
          Vec3{static_cast<float>(c[0]), static_cast<float>(c[1]), static_cast<float>(c[2])} / 255;
      for (std::size_t k = 0; k < record.parts.size(); ++k)
        if (length(colour - record.parts[k].colour) < 0.01f) ++cells[k];
    }
    for (std::size_t k = 0; k < cells.size(); ++k)
      EXPECT_GE(cells[k], 8) << record.captions[0].text << " part " << record.parts[k].name;
  }
}

// Changing one attribute by one bin must change the shape enough to see, but not turn it into another thing.
TEST(ProceduralWorld, EveryBinMatters) {
  std::int64_t pairs = 0;
  for (std::int64_t c = 0; c < world().class_count(); ++c) {
    const ProceduralClass& info = world().class_info(c);
    std::map<std::int64_t, std::vector<std::uint8_t>> grids;
    const auto grid = [&](std::int64_t g) -> const std::vector<std::uint8_t>& {
      auto& cells = grids[g];
      if (cells.empty()) {
        std::vector<Vec3> points;
        for (int z = 0; z < 32; ++z)
          for (int y = 0; y < 32; ++y)
            for (int x = 0; x < 32; ++x)
              points.push_back({(static_cast<float>(x) + 0.5f) / 16 - 1,
                                (static_cast<float>(y) + 0.5f) / 16 - 1,
                                (static_cast<float>(z) + 0.5f) / 16 - 1});
        cells.resize(points.size());
        world().field(world().first_object_of_geometry(info.first_geometry + g))->occupancy(points, cells);
      }
      return cells;
    };
    std::int64_t stride = info.geometries;
    for (const auto& [name, words] : info.attributes) {
      const auto radix = static_cast<std::int64_t>(words.size());
      stride /= radix;
      double worst = 0, best = 1, sum = 0;
      std::int64_t count = 0;
      for (std::int64_t g = 0; g < info.geometries; ++g) {
        if (g / stride % radix + 1 >= radix) continue;
        const auto &a = grid(g), &b = grid(g + stride);
        std::int64_t both = 0, either = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
          both += a[i] & b[i];
          either += a[i] | b[i];
        }
        const double iou = static_cast<double>(both) / static_cast<double>(either);
        worst = std::max(worst, iou);
        best = std::min(best, iou);
        sum += iou;
        ++count;
      }
      pairs += count;
      EXPECT_LT(worst, 0.995) << info.name << " / " << name;
      EXPECT_LT(sum / static_cast<double>(count), 0.96) << info.name << " / " << name;
      // Turning or mirroring a thing moves it as a whole.
      const bool turns = name == "direction" || name == "side" || name == "relation";
      EXPECT_GT(sum / static_cast<double>(count), turns ? 0.02 : 0.25) << info.name << " / " << name;
      if (std::getenv("OMNI_PRINT_BINS") != nullptr)
        printf("%-14s %-16s IoU of neighbouring bins: mean %.3f, from %.3f to %.3f\n", info.name.c_str(),
               name.c_str(), sum / static_cast<double>(count), best, worst);
    }
  }
  EXPECT_GT(pairs, 5000);
}

// Over objects 0, step, 2 step, ...
void expect_unique_complete_captions(std::int64_t step) {
  std::unordered_set<std::string> seen, partial;
  for (std::int64_t o = 0; o < world().object_count(); o += step) {
    std::int64_t whole = 0;
    for (const Caption& caption : world().captions(o)) {
      if (caption.kind != CaptionKind::complete) {
        if (o % 7 == 0) partial.insert(caption.text);
        continue;
      }
      ++whole;
      ASSERT_TRUE(seen.insert(caption.text).second) << caption.text;
    }
    ASSERT_EQ(whole, 4);
  }
  for (const std::string& text : partial) EXPECT_FALSE(seen.contains(text)) << text;
}

TEST(ProceduralWorld, CompleteCaptionsAreUnique) { expect_unique_complete_captions(17); }
TEST(ProceduralWorldSlow, CompleteCaptionsAreUniqueOverEverything) { expect_unique_complete_captions(1); }

TEST(ProceduralWorld, CompleteCaptionsNameEverything) {
  for (std::int64_t o = 0; o < world().object_count(); o += 97) {
    const ObjectRecord record = world().make(o);
    std::int64_t part = 0;
    for (const Caption& caption : record.captions) {
      EXPECT_LE(words_of(caption.text).size(), 24u) << caption.text;
      EXPECT_TRUE(std::none_of(caption.text.begin(), caption.text.end(),
                               [](char ch) { return ch >= 'A' && ch <= 'Z'; }));
      part += caption.kind == CaptionKind::partial;
      if (caption.kind != CaptionKind::complete) continue;
      for (const auto& [name, word] : record.attributes)
        EXPECT_TRUE(mentions(caption.text, word)) << caption.text;
      for (const ColouredPart& p : record.parts)
        EXPECT_TRUE(mentions(caption.text, p.colour_name)) << caption.text;
    }
    EXPECT_GE(part, 3);
  }
}

TEST(ProceduralWorld, WordsOfAClassBelongToOneAttribute) {
  for (std::int64_t c = 0; c < world().class_count(); ++c) {
    std::set<std::string> seen;
    for (const auto& [name, words] : world().class_info(c).attributes)
      for (const std::string& word : words)
        EXPECT_TRUE(seen.insert(word).second) << world().class_info(c).name << word;
  }
}

TEST(ProceduralSplits, TrainNeverShowsAHeldOutPair) {
  for (std::int64_t o = 0; o < world().object_count(); ++o) {
    if (world().split_of(o) != Split::train) continue;
    const ProceduralClass& info = world().class_info(world().class_of(o));
    // Captions differ between the objects of a geometry in colours only.
    const bool check_captions = o % 31 == 0;
    if (!check_captions) continue;
    const ObjectRecord record = world().make(o);
    for (const std::string& colour : info.held_out_colours) EXPECT_NE(record.parts[0].colour_name, colour);
    for (const auto* held : {&info.held_out_attributes, &info.held_out_counts})
      for (const auto& [attribute, word] : *held) {
        EXPECT_NE(record.attributes.at(attribute), word);
        for (const Caption& caption : record.captions) {
          // In a pair the other solid may bear the same word as the class.
          EXPECT_FALSE(mentions(caption.text, word)) << caption.text;
        }
      }
  }
}

TEST(ProceduralSplits, HeldOutObjectsBreakExactlyOneRule) {
  std::set<std::int64_t> train_geometries;
  for (std::int64_t o = 0; o < world().object_count(); ++o)
    if (world().split_of(o) == Split::train) train_geometries.insert(world().geometry_of(o));
  for (std::int64_t o = 0; o < world().object_count(); o += 13) {
    const auto split = world().split_of(o);
    const ProceduralClass& info = world().class_info(world().class_of(o));
    const ObjectRecord record = world().make(o);
    const auto holds = [&](const auto& pairs) {
      return std::any_of(pairs.begin(), pairs.end(),
                         [&](const auto& p) { return record.attributes.at(p.first) == p.second; });
    };
    const bool colour = std::find(info.held_out_colours.begin(), info.held_out_colours.end(),
                                  record.parts[0].colour_name) != info.held_out_colours.end();
    const bool attribute = holds(info.held_out_attributes), count = holds(info.held_out_counts);
    const bool instance = !attribute && !count && !train_geometries.contains(world().geometry_of(o));
    const int rules = colour + attribute + count + instance;
    ASSERT_EQ(split.has_value(), rules < 2) << record.id;
    if (!split) continue;
    EXPECT_EQ(*split == Split::train, rules == 0) << record.id;
    EXPECT_EQ(*split == Split::unseen_colour, colour);
    EXPECT_EQ(*split == Split::unseen_attribute, attribute);
    EXPECT_EQ(*split == Split::unseen_count, count);
    EXPECT_EQ(*split == Split::new_instance, instance);
  }
}

TEST(ProceduralSplits, EveryHeldOutWordIsSeenWithOtherClasses) {
  std::map<std::string, std::set<std::string>> classes_with_word;
  std::map<std::string, std::set<std::string>> classes_with_colour;
  for (std::int64_t g = 0; g < world().geometry_count(); ++g) {
    const std::int64_t first = world().first_object_of_geometry(g);
    const ProceduralClass& info = world().class_info(world().class_of_geometry(g));
    bool any = false;
    for (std::int64_t o = first; o < first + info.colourings; ++o) {
      if (world().split_of(o) != Split::train) continue;
      if (g % 5 == 0) classes_with_colour[world().make(o).parts[0].colour_name].insert(info.name);
      any = true;
    }
    if (!any) continue;
    for (const auto& [name, word] : world().make(first).attributes) classes_with_word[word].insert(info.name);
  }
  int attribute_classes = 0;
  for (std::int64_t c = 0; c < world().class_count(); ++c) {
    const ProceduralClass& info = world().class_info(c);
    attribute_classes += !info.held_out_attributes.empty();
    for (const auto* held : {&info.held_out_attributes, &info.held_out_counts})
      for (const auto& [attribute, word] : *held) {
        EXPECT_FALSE(classes_with_word[word].contains(info.name)) << info.name << " " << word;
        EXPECT_GE(classes_with_word[word].size(), 1u) << info.name << " " << word;
      }
    EXPECT_GE(info.held_out_colours.size(), 1u);
    EXPECT_LE(info.held_out_colours.size(), 2u);
  }
  EXPECT_GE(attribute_classes, world().class_count() * 2 / 3);
  for (const PaletteColour& colour : palette())
    EXPECT_GE(classes_with_colour[std::string(colour.name)].size(), 15u) << colour.name;
}

TEST(ProceduralSplits, PairsOfValuesOfNewInstancesOccurInTrain) {
  std::set<std::string> train_pairs;
  std::vector<std::vector<std::string>> held;
  std::int64_t train_geometries = 0;
  for (std::int64_t g = 0; g < world().geometry_count(); ++g) {
    const std::int64_t first = world().first_object_of_geometry(g);
    const ProceduralClass& info = world().class_info(world().class_of_geometry(g));
    std::set<Split> splits;
    for (std::int64_t o = first; o < first + info.colourings; ++o)
      if (const auto split = world().split_of(o)) splits.insert(*split);
    std::vector<std::string> pairs;
    const ObjectRecord record = world().make(first);
    for (const auto& [a, u] : record.attributes)
      for (const auto& [b, v] : record.attributes) pairs.push_back(info.name + a + u + b + v);
    if (splits.contains(Split::train)) {
      train_pairs.insert(pairs.begin(), pairs.end());
      ++train_geometries;
    }
    if (splits.contains(Split::new_instance)) held.push_back(std::move(pairs));
  }
  EXPECT_GT(static_cast<double>(held.size()), 0.05 * static_cast<double>(train_geometries));
  for (const auto& pairs : held)
    for (const std::string& pair : pairs) EXPECT_TRUE(train_pairs.contains(pair)) << pair;
}

TEST(ProceduralSplits, DependOnTheSeedAlone) {
  const ProceduralWorld same(kSeed), other(kSeed + 1);
  EXPECT_EQ(same.fingerprint(), world().fingerprint());
  EXPECT_NE(other.fingerprint(), world().fingerprint());
  std::int64_t differing = 0;
  for (std::int64_t o = 0; o < world().object_count(); o += 11) {
    EXPECT_EQ(same.split_of(o), world().split_of(o));
    differing += other.split_of(o) != world().split_of(o);
  }
  EXPECT_GT(differing, 100);
}

TEST(ProceduralSource, ListsASplitWithoutRepetition) {
  const ProceduralSource source({.seed = kSeed, .split = Split::unseen_count});
  std::set<std::int64_t> seen;
  for (std::int64_t i = 0; i < source.size(); ++i) {
    EXPECT_TRUE(seen.insert(source.object_id(i)).second);
    EXPECT_EQ(world().split_of(source.object_id(i)), Split::unseen_count);
  }
  std::int64_t expected = 0;
  for (std::int64_t o = 0; o < world().object_count(); ++o)
    expected += world().split_of(o) == Split::unseen_count;
  EXPECT_EQ(source.size(), expected);
}

TEST(ProceduralSource, PrefixesAgreeAndCoverGeometriesFirst) {
  const ProceduralSource small({.seed = kSeed, .count = 500}), large({.seed = kSeed, .count = 5000});
  std::set<std::int64_t> geometries;
  for (std::int64_t i = 0; i < small.size(); ++i) {
    EXPECT_EQ(small.object_id(i), large.object_id(i));
    EXPECT_TRUE(geometries.insert(world().geometry_of(small.object_id(i))).second);
  }
  EXPECT_NE(small.fingerprint(), large.fingerprint());
  EXPECT_EQ(small.load(3).id, large.load(3).id);
}

// Token shards, figures and trained models lean on this order.
TEST(ProceduralSource, OrderAndHeldOutObjectsStayWhatTheyAre) {
  const auto ids = [](const ProceduralOptions& options, std::int64_t first) {
    const ProceduralSource source(options);
    std::vector<std::int64_t> found;
    for (std::int64_t i = first; i < first + 6; ++i) found.push_back(source.object_id(i));
    return found;
  };
  using Ids = std::vector<std::int64_t>;
  EXPECT_EQ(ids({.seed = 1, .count = 6}, 0), (Ids{239650, 33879, 170611, 51483, 185074, 175197}));
  EXPECT_EQ(ids({.seed = 1, .count = 5000}, 4000), (Ids{208983, 189091, 265906, 307875, 50565, 580}));
  EXPECT_EQ(ids({.seed = 1, .split = Split::new_instance}, 0),
            (Ids{224342, 122211, 141002, 199066, 178020, 31467}));
  EXPECT_EQ(ids({.seed = 1, .split = Split::unseen_colour}, 0),
            (Ids{239475, 33903, 170558, 51608, 185174, 175260}));
}

TEST(ProceduralSource, RefusesWhatItDoesNotHave) {
  try {
    ProceduralSource source({.seed = kSeed, .split = Split::new_instance, .count = 10'000'000});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("there are "), std::string::npos);
  }
  const ProceduralSource source({.seed = kSeed, .count = 3});
  EXPECT_THROW(source.load(3), Error);
  EXPECT_THROW(source.load(-1), Error);
  EXPECT_THROW(parse_split("unseen_color"), Error);
  EXPECT_EQ(parse_split("unseen_colour"), Split::unseen_colour);
}

TEST(ShapeSampleOfAnObject, HasVisibleSurfacePointsAndColoursAtTheSurface) {
  const ProceduralSource source({.seed = kSeed, .count = 20});
  for (std::int64_t i = 0; i < source.size(); ++i) {
    const ObjectRecord record = source.load(i);
    const auto sample =
        make_shape_sample(record, {.grid_resolution = 32, .surface_points = 500}, CounterRng(2));
    const geometry::VoxelGrid whole = geometry::voxelise(*record.field, 32, 1.0f);
    EXPECT_EQ(sample.grid.occupancy, whole.occupancy);
    std::int64_t coloured = 0;
    for (std::size_t c = 0; c < sample.grid.occupancy.size(); ++c) {
      const bool white = sample.grid.colours[3 * c] == 255 && sample.grid.colours[3 * c + 1] == 255;
      if (white) continue;
      ++coloured;
      for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(sample.grid.colours[3 * c + k], whole.colours[3 * c + k]);
    }
    EXPECT_GT(coloured, 500);
    ASSERT_EQ(sample.surface.positions.size(), 500u);
    for (std::size_t p = 0; p < 500; ++p) {
      const Vec3 out = sample.surface.positions[p] + sample.surface.normals[p] * 0.01f;
      std::uint8_t inside = 1;
      record.field->occupancy({&out, 1}, {&inside, 1});
      EXPECT_EQ(inside, 0);
    }
  }
}

}  // namespace
}  // namespace omni::data
