#include "omni/sequence/grammar.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "omni/core/error.h"
#include "sequence_fixtures.h"

namespace omni::sequence {
namespace {

using namespace testing;

// The language of a plan, written down a second time as plain recursion: every allowed sequence, in full.
using Language = std::set<std::vector<std::int32_t>>;

Language concatenate(const Language& a, const Language& b) {
  Language result;
  for (const auto& head : a) {
    for (const auto& tail : b) {
      auto whole = head;
      whole.insert(whole.end(), tail.begin(), tail.end());
      result.insert(std::move(whole));
    }
  }
  return result;
}

Language one_of(const TokenRange& range, bool any = false) {
  Language result;
  for (std::int32_t i = 0; i < range.size; ++i) result.insert({range.first + i});
  if (any) result.insert({kAny});
  return result;
}

Language power(const Language& base, std::int64_t count) {
  Language result = {{}};
  for (std::int64_t i = 0; i < count; ++i) result = concatenate(result, base);
  return result;
}

// A vocabulary whose controls are small enough to enumerate everything.
Vocabulary enumerable_vocabulary() {
  Vocabulary vocabulary;
  vocabulary.append(std::string(kRangeSize), 2);
  vocabulary.append(std::string(kRangeBox), 1);
  vocabulary.append(std::string(kRangeDetail), kDetailBins);
  vocabulary.append(std::string(kRangeText), 2);
  vocabulary.append(std::string(kRangeImage), 2);
  vocabulary.append(std::string(kRangeGeometry), 2);
  vocabulary.append(std::string(kRangeColour), 2);
  vocabulary.append(std::string(kRangeAzimuth), 2);
  return vocabulary;  // no elevations: only <any> may stand there
}

Language language_of(const SegmentPlan& plan, const Vocabulary& v, const SequenceLayout& layout) {
  const std::int32_t opening = kTextBegin + 2 * static_cast<std::int32_t>(plan.modality);
  const auto wrap = [&](const Language& inner) {
    return concatenate(concatenate({{opening}}, inner), {{opening + 1}});
  };
  if (plan.dropped) return wrap({{kDrop}});
  if (plan.modality == Modality::text) {
    Language all;
    for (std::int64_t n = 0; n <= layout.text_capacity; ++n) all.merge(power(one_of(v.range(kRangeText)), n));
    return wrap(all);
  }
  if (plan.modality == Modality::image) {
    return wrap(concatenate(concatenate(one_of(v.range(kRangeAzimuth), true), {{kAny}}),
                            power(one_of(v.range(kRangeImage)), layout.image_codes())));
  }
  Language shapes;
  for (const std::int64_t length : layout.geometry_lengths) {
    if (plan.geometry_length != 0 && plan.geometry_length != length) continue;
    Language shape =
        concatenate(one_of(v.range(kRangeSize), true), power(one_of(v.range(kRangeBox), true), 3));
    shape = concatenate(shape, {{v.range(kRangeDetail).first + detail_bin(length)}});
    shape = concatenate(shape, power(one_of(v.range(kRangeGeometry)), length));
    if (plan.with_colour)
      shape = concatenate(shape, power(one_of(v.range(kRangeColour)), layout.colour_codes));
    shapes.merge(shape);
  }
  return wrap(shapes);
}

void enumerate(const GrammarWalker& walker, std::vector<std::int32_t>& prefix, Language& found) {
  if (walker.finished()) {
    EXPECT_TRUE(found.insert(prefix).second);
    return;
  }
  ASSERT_GT(walker.allowed().count(), 0);
  for (std::int32_t i = 0; i < walker.allowed().count(); ++i) {
    GrammarWalker next = walker;
    prefix.push_back(walker.allowed().token(i));
    next.advance(prefix.back());
    enumerate(next, prefix, found);
    prefix.pop_back();
  }
}

TEST(Grammar, SmallLayoutsGenerateExactlyTheirLanguage) {
  const Vocabulary vocabulary = enumerable_vocabulary();
  const SequenceLayout layout = {
      .text_capacity = 2, .image_grid_side = 1, .geometry_lengths = {1, 2}, .colour_codes = 1};
  check_layout(layout, vocabulary);
  const std::vector<SegmentPlan> segments = {{.modality = Modality::text},
                                             {.modality = Modality::text, .dropped = true},
                                             {.modality = Modality::image},
                                             {.modality = Modality::shape},
                                             {.modality = Modality::shape, .geometry_length = 2},
                                             {.modality = Modality::shape, .with_colour = false},
                                             {.modality = Modality::shape, .dropped = true}};
  for (const SegmentPlan& a : segments) {
    for (const SegmentPlan& b : segments) {
      if (a.modality == Modality::shape && b.modality == Modality::shape && !a.dropped && !b.dropped)
        continue;
      Language expected = concatenate(language_of(a, vocabulary, layout), language_of(b, vocabulary, layout));
      expected = concatenate(concatenate({{kBos}}, expected), {{kEos}});
      Language found;
      std::vector<std::int32_t> prefix;
      enumerate(GrammarWalker(vocabulary, layout, {a, b}), prefix, found);
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(Grammar, RandomAllowedWalksAlwaysParseBack) {
  const SequenceLayout layout = small_layout();
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CounterRng rng(seed);
    const Vocabulary vocabulary = small_vocabulary(rng.chance(0.5));
    std::vector<SegmentPlan> plan(1 + rng.below(4));
    for (SegmentPlan& segment : plan) {
      segment.modality = static_cast<Modality>(rng.below(3));
      segment.dropped = rng.chance(0.2);
      segment.geometry_length = rng.chance(0.5) ? 0 : 4;
      segment.with_colour = rng.chance(0.5);
    }
    GrammarWalker walker(vocabulary, layout, plan);
    std::vector<std::int32_t> tokens;
    while (!walker.finished()) {
      const auto count = static_cast<std::uint64_t>(walker.allowed().count());
      tokens.push_back(walker.allowed().token(static_cast<std::int32_t>(rng.below(count))));
      walker.advance(tokens.back());
      ASSERT_LE(tokens.size(), 1000u);
    }
    const Document document = parse_document(tokens, plan, vocabulary, layout);
    EXPECT_EQ(document_tokens(document, vocabulary, layout), tokens);
  }
}

TEST(Grammar, DocumentsRoundTrip) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CounterRng rng(seed);
    Document document = random_document(vocabulary, layout, rng);
    for (Segment& segment : document.segments) segment.carries_loss = false;
    const auto tokens = document_tokens(document, vocabulary, layout);
    EXPECT_EQ(parse_document(tokens, plan_of(document), vocabulary, layout), document);
  }
}

TEST(Grammar, DroppingMovesNoLaterPosition) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  const auto places_by_segment = [&](const Document& document) {
    std::map<int, std::vector<std::array<std::int32_t, 4>>> places;
    GrammarWalker walker(vocabulary, layout, plan_of(document));
    for (const std::int32_t token : document_tokens(document, vocabulary, layout)) {
      const TokenPlace place = walker.place();
      places[token == kEos ? 1000 : place.segment].push_back(
          {place.offset, place.row, place.column, place.slot});
      walker.advance(token);
    }
    return places;
  };
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CounterRng rng(seed);
    const Document whole = random_document(vocabulary, layout, rng);
    Document dropped = whole;
    const auto victim = rng.below(whole.segments.size());
    dropped.segments[victim].dropped = true;
    auto before = places_by_segment(whole), after = places_by_segment(dropped);
    before.erase(static_cast<int>(victim));
    after.erase(static_cast<int>(victim));
    EXPECT_EQ(before, after);
  }
}

TEST(Grammar, PlacesInsideGridsAndCubes) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  const std::vector<SegmentPlan> plan = {{.modality = Modality::image},
                                         {.modality = Modality::shape, .geometry_length = 8}};
  GrammarWalker walker(vocabulary, layout, plan);
  std::vector<TokenPlace> places;
  while (!walker.finished()) {
    places.push_back(walker.place());
    walker.advance(walker.allowed().token(0));
  }
  // <bos>, then the image: opening, azimuth, elevation, 2 x 2 codes, closing at the end of its span of 8.
  const auto check = [&](std::size_t i, int offset, int row, int column, int slot) {
    EXPECT_EQ(places[i].offset, offset) << i;
    EXPECT_EQ(places[i].row, row) << i;
    EXPECT_EQ(places[i].column, column) << i;
    EXPECT_EQ(places[i].slot, slot) << i;
  };
  check(0, 0, 0, 0, 0);
  check(1, 1, 0, 0, 0);
  check(3, 3, 0, 0, 2);
  check(4, 4, 0, 0, 3);
  check(5, 4, 0, 1, 4);
  check(6, 4, 1, 0, 5);
  check(7, 4, 1, 1, 6);
  check(8, 8, 0, 0, 7);
  // The shape starts at offset 9: six tokens ahead of the cube, codes in the order z, y, x.
  check(9, 9, 0, 0, 0);
  check(14, 14, 0, 0, 5);
  for (std::size_t code = 0; code < 8; ++code) {
    const int z = static_cast<int>(code) / 4, y = static_cast<int>(code) / 2 % 2,
              x = static_cast<int>(code) % 2;
    check(15 + code, 15 + z, y, x, 6 + static_cast<int>(code));
  }
  check(23, 23, 0, 0, 14);  // colour codes: a plain sequence after the room for geometry
  check(25, 25, 0, 0, 16);
  check(26, 26, 0, 0, 17);  // </shape>
  check(27, 27, 0, 0, 0);   // <eos>
  EXPECT_EQ(places.size(), 28u);
  EXPECT_EQ(SegmentParts(vocabulary, layout).document_capacity(std::vector{Modality::image, Modality::shape}),
            28);
  EXPECT_EQ(places[27].modality, Modality::text);
}

TEST(Grammar, ShortGeometryLeavesColourWhereItIs) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  for (const std::int64_t length : layout.geometry_lengths) {
    GrammarWalker walker(vocabulary, layout, {{.modality = Modality::shape, .geometry_length = length}});
    std::vector<std::int32_t> slots;
    while (!walker.finished()) {
      if (walker.allowed().contains(vocabulary.range(kRangeColour).first))
        slots.push_back(walker.place().slot);
      walker.advance(walker.allowed().token(0));
    }
    EXPECT_EQ(slots, (std::vector<std::int32_t>{14, 15, 16})) << length;
  }
}

TEST(Grammar, ChoicesAreBoundedAndTheBoundIsReached) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  for (const Modality modality : kModalities) {
    for (const std::int64_t length : {0, 2, 8}) {
      for (int variant = 0; variant < 4; ++variant) {
        const SegmentPlan plan = {.modality = modality,
                                  .dropped = variant / 2 == 1,
                                  .geometry_length = length,
                                  .with_colour = variant % 2 == 1};
        // The last token of each set keeps texts open and gives the longest geometry.
        std::int64_t choices = 0;
        for (GrammarWalker walker(vocabulary, layout, {plan}); !walker.finished();) {
          choices += walker.allowed().count() > 1 ? 1 : 0;
          walker.advance(walker.allowed().token(walker.allowed().count() - 1));
        }
        EXPECT_EQ(choice_bound(plan, vocabulary, layout), choices)
            << modality_name(modality) << ' ' << length;
      }
    }
  }
}

TEST(Grammar, WithoutViewsOnlyAnyIsAllowed) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary(false);
  GrammarWalker walker(vocabulary, layout, {{.modality = Modality::image}});
  walker.advance(kBos);
  walker.advance(kImageBegin);
  EXPECT_EQ(walker.allowed().count(), 1);
  EXPECT_TRUE(walker.allowed().contains(kAny));
}

TEST(Grammar, RejectsWhatTheModelLacks) {
  const SequenceLayout no_images = {.text_capacity = 4, .geometry_lengths = {4}};
  const Vocabulary vocabulary = small_vocabulary();
  EXPECT_THROW(GrammarWalker(vocabulary, no_images, {{.modality = Modality::image}}), Error);
  EXPECT_THROW(GrammarWalker(vocabulary, no_images, {{.modality = Modality::shape, .geometry_length = 3}}),
               Error);
  EXPECT_THROW(GrammarWalker(make_vocabulary({.text = 3}), no_images, {{.modality = Modality::shape}}),
               Error);
}

TEST(Grammar, RejectsPayloadsThatDoNotFit) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  const auto expect_rejected = [&](Segment segment) {
    try {
      document_tokens({{std::move(segment)}}, vocabulary, layout);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  };
  expect_rejected(text_segment({1, 2, 3, 4, 5, 6}));
  expect_rejected(text_segment({11}));
  expect_rejected(text_segment({-1}));
  expect_rejected({.payload = ImagePayload{.codes = {1, 2, 3}}});
  expect_rejected({.payload = ImagePayload{.codes = {1, 2, 3, 7}}});
  expect_rejected({.payload = ImagePayload{.azimuth = 24, .codes = {1, 2, 3, 4}}});
  expect_rejected({.payload = ShapePayload{.geometry = {1, 2, 3}}});
  expect_rejected({.payload = ShapePayload{.geometry = {}}});
  expect_rejected({.payload = ShapePayload{.size = 64, .geometry = {1, 2}}});
  expect_rejected({.payload = ShapePayload{.geometry = {1, 2}, .colour = {1}}});
  expect_rejected({.payload = ShapePayload{.geometry = {1, 2}, .colour = {1, 2, 6}}});
}

TEST(Grammar, DamagedTokensNeverParseToSomethingElse) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CounterRng rng(seed);
    const Document document = random_document(vocabulary, layout, rng);
    auto tokens = document_tokens(document, vocabulary, layout);
    switch (rng.below(4)) {
      case 0:
        tokens.resize(rng.below(tokens.size()));
        break;
      case 1:
        tokens.push_back(kEos);
        break;
      case 2:
        tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(rng.below(tokens.size())));
        break;
      default:
        tokens[rng.below(tokens.size())] = static_cast<std::int32_t>(rng.next_u32());
    }
    try {
      const Document parsed = parse_document(tokens, plan_of(document), vocabulary, layout);
      EXPECT_EQ(document_tokens(parsed, vocabulary, layout), tokens);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

TEST(Grammar, AdvanceRefusesWhatIsNotAllowed) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  GrammarWalker walker(vocabulary, layout, {{.modality = Modality::shape}});
  EXPECT_THROW(walker.advance(kEos), Error);
  walker.advance(kBos);
  EXPECT_THROW(walker.advance(kTextBegin), Error);
  EXPECT_NE(walker.describe_place().find("shape 1"), std::string::npos);
}

TEST(Layout, ChecksLengthsAndCubes) {
  const Vocabulary vocabulary = small_vocabulary();
  EXPECT_NO_THROW(check_layout(small_layout(), vocabulary));
  const auto rejected = [&](auto change) {
    SequenceLayout layout = small_layout();
    change(layout);
    EXPECT_THROW(check_layout(layout, vocabulary), Error);
  };
  rejected([](SequenceLayout& l) { l.geometry_lengths = {2, 4, 4}; });
  rejected([](SequenceLayout& l) { l.geometry_lengths = {3, 4, 8}; });  // 3 and 4 share a detail bin
  rejected([](SequenceLayout& l) { l.geometry_grid_side = 3; });
  rejected([](SequenceLayout& l) { l.colour_grid_side = 2; });
  rejected([](SequenceLayout& l) { l.text_capacity = 0; });
  rejected([](SequenceLayout& l) { l.geometry_lengths = {}; });
  EXPECT_THROW(check_layout(small_layout(), make_vocabulary({.text = 3})), Error);
  SequenceLayout residual = {.geometry_lengths = {1, 9, 73, 585}};
  EXPECT_NO_THROW(check_layout(residual, vocabulary));
  EXPECT_EQ(residual.geometry_length_of_detail(detail_bin(73)), 73);
  EXPECT_EQ(residual.geometry_length_of_detail(1), 0);
}

TEST(Layout, ConfigRoundTrip) {
  SequenceLayout layout = small_layout();
  const std::string yaml = config_to_yaml([&](ConfigVisitor& v) { describe(v, layout); });
  SequenceLayout read;
  ConfigFile::parse(yaml, "test").read([&](ConfigVisitor& v) { describe(v, read); });
  EXPECT_EQ(read, layout);
}

}  // namespace
}  // namespace omni::sequence
