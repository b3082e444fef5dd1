#include "omni/tokenizers/shape_codes_file.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/npy.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

const ShapeCodes kCodes{.geometry = {5, 0, 2147483647, 17}, .colour = {3, 3}};

TEST(ShapeCodesFile, RoundTripsInEveryFormat) {
  for (const char* name : {"codes.yaml", "codes.npy", "codes.json"}) {
    for (const bool coloured : {true, false}) {
      const test::TemporaryDirectory own;
      ShapeCodes codes = kCodes;
      if (!coloured) codes.colour.clear();
      write_shape_codes(own / name, codes);
      const ShapeCodes back = read_shape_codes(own / name);
      EXPECT_EQ(back.geometry, codes.geometry) << name;
      EXPECT_EQ(back.colour, codes.colour) << name;
    }
  }
}

TEST(ShapeCodesFile, NumpyFilesHoldTheCodesThemselves) {
  const test::TemporaryDirectory folder;
  write_shape_codes(folder / "a.npy", kCodes);
  EXPECT_EQ(parse_npy(read_file_bytes(folder / "a.npy"), "a").values,
            (std::vector<std::int64_t>{5, 0, 2147483647, 17}));
  EXPECT_EQ(parse_npy(read_file_bytes(folder / "a.colour.npy"), "a").values,
            (std::vector<std::int64_t>{3, 3}));
}

TEST(ShapeCodesFile, RefusesWhatIsNoListOfCodes) {
  const test::TemporaryDirectory folder;
  EXPECT_THROW(write_shape_codes(folder / "codes.txt", kCodes), Error);
  EXPECT_THROW(read_shape_codes(folder / "codes.txt"), Error);
  EXPECT_THROW(read_shape_codes(folder / "absent.npy"), Error);
  write_file_atomically(folder / "negative.yaml", std::string_view("geometry: [1, -2]\ncolour: []\n"));
  EXPECT_THROW(read_shape_codes(folder / "negative.yaml"), Error);
  write_file_atomically(folder / "negative.npy",
                        std::span<const std::byte>(to_npy(std::vector<std::int32_t>{1, -2})));
  EXPECT_THROW(read_shape_codes(folder / "negative.npy"), Error);
}

TEST(ShapeCodesFile, TheLastShapeOfADocumentCounts) {
  const StoredShape edited{.codes = kCodes, .longest_side_m = 0.73f};
  const std::string document = R"([{"modality":"shape","geometry":[1],"colour":[]},)"
                               R"({"modality":"text","tokens":[7]},)" +
                               shape_segment_json(edited) + R"(,{"modality":"image","codes":[2]}])";
  const StoredShape back = parse_shape_segments(document, "memory");
  EXPECT_EQ(back.codes.geometry, kCodes.geometry);
  EXPECT_EQ(back.codes.colour, kCodes.colour);
  EXPECT_EQ(back.longest_side_m, 0.73f) << "to the last bit: it scales the mesh";
}

TEST(ShapeCodesFile, RefusesJsonWithoutAShape) {
  for (const char* wrong :
       {"", "{", "[]", "{}", "[3]", R"([{"modality":"text","tokens":[1]}])", R"([{"modality":"shape"}])",
        R"([{"modality":"shape","geometry":[1]}])", R"([{"modality":"shape","geometry":7,"colour":[]}])",
        R"([{"modality":"shape","geometry":[-1],"colour":[]}])",
        R"([{"modality":"shape","geometry":[1.5],"colour":[]}])",
        R"([{"modality":"shape","geometry":[4294967296],"colour":[]}])",
        R"([{"modality":"shape","geometry":[1],"colour":[],"longest_side_m":0}])",
        R"([{"modality":"shape","geometry":[1],"colour":[],"longest_side_m":"wide"}])"}) {
    try {
      (void)parse_shape_segments(wrong, "wrong.json");
      ADD_FAILURE() << wrong << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find("wrong.json"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace omni::tokenizers
