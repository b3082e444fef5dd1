#include "references.h"

#include <gtest/gtest.h>

#include "coloured_shapes.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

namespace fs = std::filesystem;
using testing::input_error;

class References : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "model" / "maps");
    for (const char* file :
         {"secret.png", "model/tex.png", "model/100%25.png", "model/a b.png", "model/maps/Wood.PNG"})
      write_file_atomically(folder_ / file, std::string_view("x"));
    fs::create_symlink(folder_ / "secret.png", folder_ / "model" / "link.png");
    model_ = fs::weakly_canonical(folder_ / "model");
  }
  std::string found(const std::string& reference, const fs::path& within = {}) const {
    return find_optional_file(reference, model_, within, "a.obj").lexically_relative(model_).generic_string();
  }
  std::string refusal(const std::string& reference) const {
    return input_error([&] { find_optional_file(reference, model_, {}, "a.obj"); });
  }

  test::TemporaryDirectory folder_;
  fs::path model_;
};

TEST_F(References, FindOptionalFilesWhereverTheirAuthorHadThem) {
  for (const char* reference :
       {"tex.png", "./tex.png", "../images/tex.png", "..\\images\\tex.png", "/home/artist/tex.png",
        "C:\\Users\\Artist\\tex.png", "C:\\\\Users\\\\Artist\\\\tex.png", "file:///C:/work/tex.png",
        "TEX.PNG", "missing/folder/tex.png", "tex%2Epng", "maps/../tex.png", "//server/share/tex.png",
        "http://host/tex.png"})
    EXPECT_EQ(found(reference), "tex.png") << reference;
  for (const char* reference : {"maps/Wood.PNG", "maps\\wood.png", "Maps/wood.PNG"})
    EXPECT_EQ(found(reference), "maps/Wood.PNG") << reference;
  EXPECT_EQ(found("wood.png", "maps"), "maps/Wood.PNG");
  EXPECT_EQ(found("../tex.png", "maps"), "tex.png");
  EXPECT_EQ(found("tex.png", "maps"), "tex.png");
  EXPECT_EQ(found("a%20b.png"), "a b.png");
  EXPECT_EQ(found("100%25.png"), "100%25.png");  // its own name, escapes and all
}

TEST_F(References, NeverLeaveTheFolder) {
  for (const char* reference : {"../secret.png", "..\\secret.png", "%2e%2e/secret.png", "link.png",
                                "maps/../../secret.png", "/etc/passwd"}) {
    const std::string message = refusal(reference);
    EXPECT_NE(message.find("Only files in the mesh's own folder"), std::string::npos)
        << reference << ": " << message;
    EXPECT_NE(message.find("a.obj"), std::string::npos);
  }
  EXPECT_NE(refusal("").find("no file name"), std::string::npos);
  EXPECT_NE(refusal(std::string("tex\0.png", 8)).find("no file name"), std::string::npos);
  EXPECT_NE(refusal("maps").find("not there"), std::string::npos) << "a folder is no file";
  EXPECT_NE(refusal("gone.png").find("not there"), std::string::npos);
  EXPECT_NE(refusal("bad\x1bname.png").find("\\x1b"), std::string::npos);
}

TEST_F(References, AreTakenAtTheirWordWhereTheMeshNeedsThem) {
  EXPECT_EQ(resolve_reference("a%20b.png", model_, "a.gltf"), model_ / "a b.png");
  EXPECT_EQ(resolve_reference("maps\\Wood.PNG", model_, "a.gltf"), model_ / "maps" / "Wood.PNG");
  EXPECT_EQ(resolve_reference("gone.bin", model_, "a.gltf"), model_ / "gone.bin");
  for (const char* reference :
       {"../images/tex.png", "..\\tex.png", "/x/tex.png", "link.png", "http://host/tex.png"})
    EXPECT_NE(input_error([&] { resolve_reference(reference, model_, "a.gltf"); }).find("Only files in"),
              std::string::npos)
        << reference;
}

}  // namespace
}  // namespace omni::geometry
