#include "omni/sequence/vocabulary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::internal;
}

TEST(Vocabulary, RangesAreContiguousFromZero) {
  const Vocabulary vocabulary =
      make_vocabulary({.text = 100, .image = 20, .geometry = 30, .colour = 40, .views = {24, 7}});
  std::int32_t next = 0;
  for (const TokenRange& range : vocabulary.ranges()) {
    EXPECT_EQ(range.first, next) << range.name;
    next += range.size;
  }
  EXPECT_EQ(vocabulary.size(), next);
  EXPECT_EQ(next, kSpecialCount + kSizeBins + kBoxBins + kDetailBins + 190 + 24 + 7);
}

TEST(Vocabulary, GrowingKeepsIdsAndExtends) {
  const Vocabulary before = make_vocabulary({.text = 100, .image = 20, .geometry = 30});
  Vocabulary after = before;
  append_views(after, {24, 7});
  for (const TokenRange& range : before.ranges()) EXPECT_EQ(after.range(range.name), range);
  EXPECT_TRUE(after.extends(before));
  EXPECT_TRUE(before.extends(before));
  EXPECT_FALSE(before.extends(after));
  EXPECT_NE(before.fingerprint(), after.fingerprint());
  EXPECT_EQ(after.fingerprint(),
            make_vocabulary({.text = 100, .image = 20, .geometry = 30, .views = {24, 7}}).fingerprint());
}

TEST(Vocabulary, FingerprintTellsNamesSizesAndOrderApart) {
  Vocabulary a, b, c, d;
  a.append("x", 3);
  a.append("y", 4);
  b.append("y", 4);
  b.append("x", 3);
  c.append("x", 4);
  c.append("y", 3);
  d.append("x", 7);
  EXPECT_NE(a.fingerprint(), b.fingerprint());
  EXPECT_NE(a.fingerprint(), c.fingerprint());
  EXPECT_NE(a.fingerprint(), d.fingerprint());
  EXPECT_FALSE(b.extends(a));
}

TEST(Vocabulary, RejectsImpossibleRanges) {
  Vocabulary vocabulary;
  EXPECT_EQ(kind_of([&] { vocabulary.append("special", 1); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { vocabulary.append("", 1); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { vocabulary.append("x", 0); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { vocabulary.append("x", -4); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { vocabulary.append("x", 0x7fffffff); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { vocabulary.range("colour"); }), ErrorKind::input);
  EXPECT_EQ(vocabulary.size(), kSpecialCount);
}

TEST(Vocabulary, JsonRoundTrip) {
  Vocabulary vocabulary =
      make_vocabulary({.text = 100, .image = 20, .geometry = 30, .colour = 4, .views = {24, 7}});
  vocabulary.append("odd \"name\"\n", 5);
  const Vocabulary read = Vocabulary::from_json(vocabulary.to_json(), "test");
  EXPECT_EQ(read.ranges(), vocabulary.ranges());
  EXPECT_EQ(read.to_json(), vocabulary.to_json());
}

TEST(Vocabulary, EveryTruncationOfItsJsonIsRejected) {
  const std::string json = make_vocabulary({.text = 100, .image = 20, .geometry = 30}).to_json();
  for (std::size_t size = 0; size + 2 < json.size(); ++size) {
    EXPECT_EQ(kind_of([&] { Vocabulary::from_json(json.substr(0, size), "test"); }), ErrorKind::input)
        << size;
  }
}

TEST(Vocabulary, FlippedBytesNeverReadAsAnotherVocabulary) {
  const Vocabulary vocabulary = make_vocabulary({.text = 100, .image = 20, .geometry = 30});
  const std::string json = vocabulary.to_json();
  for (std::size_t i = 0; i < json.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = json;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      try {
        EXPECT_EQ(Vocabulary::from_json(damaged, "test").ranges(), vocabulary.ranges());
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::input);
      }
    }
  }
}

TEST(Vocabulary, RejectsForeignJson) {
  for (const char* text :
       {"", "[]", "{}", "null", "{\"format\":1}", "{\"format\":1,\"ranges\":[]}",
        "{\"format\":1,\"ranges\":[1]}", "{\"format\":1,\"ranges\":[{\"name\":\"special\"}]}",
        "{\"format\":1,\"ranges\":[{\"name\":\"special\",\"size\":16}]}",
        "{\"format\":2,\"ranges\":[{\"name\":\"special\",\"size\":16}]}",
        "{\"format\":1,\"ranges\":[{\"name\":\"special\",\"size\":16},{\"name\":\"x\",\"size\":1e99}]}"}) {
    EXPECT_EQ(kind_of([&] { Vocabulary::from_json(text, "test"); }), ErrorKind::input) << text;
  }
  EXPECT_EQ(kind_of([&] { Vocabulary::from_json(std::string(100000, '['), "test"); }), ErrorKind::input);
}

TEST(Bins, SizeQuantisationIsTheNearestLogStep) {
  EXPECT_EQ(size_bin(0.001f), 0);
  EXPECT_EQ(size_bin(0), 0);
  EXPECT_EQ(size_bin(-3), 0);
  EXPECT_EQ(size_bin(1000), kSizeBins - 1);
  EXPECT_EQ(size_bin(1e30f), kSizeBins - 1);
  EXPECT_EQ(size_bin(INFINITY), kSizeBins - 1);
  EXPECT_GE(size_bin(NAN), 0);
  const double half_step = std::pow(10.0, 6.0 / 63 / 2) * 1.0001;
  for (double metres = 0.0011; metres < 990; metres *= 1.07) {
    const double back = size_of_bin(size_bin(static_cast<float>(metres)));
    EXPECT_LE(std::max(back / metres, metres / back), half_step) << metres;
  }
  for (std::int32_t bin = 0; bin < kSizeBins; ++bin) EXPECT_EQ(size_bin(size_of_bin(bin)), bin);
}

TEST(Bins, BoxQuantisationIsTheNearestStep) {
  for (float share = 0; share <= 1; share += 0.003f) {
    EXPECT_NEAR(box_share_of_bin(box_bin(share)), share, 0.5f / (kBoxBins - 1) + 1e-6f);
  }
  EXPECT_EQ(box_bin(-1), 0);
  EXPECT_EQ(box_bin(7), kBoxBins - 1);
}

TEST(Bins, DetailIsTheCeilingOfTheLogarithm) {
  for (std::int64_t count = 1; count <= 32768; ++count) {
    EXPECT_EQ(detail_bin(count), static_cast<std::int32_t>(std::ceil(std::log2(static_cast<double>(count)))));
  }
  EXPECT_EQ(kind_of([] { detail_bin(0); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([] { detail_bin(32769); }), ErrorKind::usage);
}

}  // namespace
}  // namespace omni::sequence
