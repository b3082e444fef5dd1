// What `omni info` tells of a public model: as it was published, imported, and trained further.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "forked_run.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

class Info : public testing::Test {
 protected:
  void SetUp() override {
    test::write_small_cube3d(OMNI_SOURCE_DIR "/tests/fixtures", folder_ / "published");
  }
  Ending run(const std::vector<std::string>& words) const { return run_forked(words, folder_.path()); }
  void import() const {
    const Ending import = run({"import", "cube3d", "published", "--config", "published/gpt.json", "--text",
                               "published/clip", "--out", "imported"});
    ASSERT_EQ(import.code, 0) << import.output;
  }

  const test::TemporaryDirectory folder_;
};

TEST_F(Info, WhatIsStillToBeImportedSaysHow) {
  for (const char* command : {"bundle", "model"}) {
    const Ending cube3d = run({"info", command, "published"});
    EXPECT_EQ(cube3d.code, exit_code(ErrorKind::usage)) << cube3d.output;
    EXPECT_THAT(cube3d.output,
                HasSubstr("'published': it holds a Cube3D as it was published. Name the folder that "
                          "`omni import cube3d published --text CLIP --out FOLDER` makes of it"));
    EXPECT_THAT(run({"info", command, "published/clip"}).output,
                HasSubstr("`omni import clip published/clip --out FOLDER`"));
  }
}

TEST_F(Info, ACube3dThatWasFineTunedSaysFromWhatAndHow) {
  import();
  const Ending before = run({"info", "bundle", "imported"});
  EXPECT_THAT(before.output, HasSubstr("is not told by its publisher"));
  EXPECT_THAT(before.output, Not(HasSubstr("fine-tuned")));
  const std::string description = read_file_text(folder_ / "imported/public.yaml");
  const auto told = [&](const std::string& names, const std::string& texts) {
    const std::string notes = "note_names: [" + names + "]\nnote_texts: [" + texts + "]\n";
    write_file_atomically(folder_ / "imported/public.yaml", std::string_view(description + notes));
    const Ending ending = run({"info", "bundle", "imported"});
    EXPECT_EQ(ending.code, 0) << ending.output;
    EXPECT_THAT(ending.output, HasSubstr("Cube3D v0.5, "));
    EXPECT_THAT(ending.output, HasSubstr("fine-tuned from: out/model"));
    EXPECT_THAT(ending.output, Not(HasSubstr("its publisher")));
    return ending.output;
  };
  EXPECT_THAT(told("fine-tuned from, lora, public model", "out/model, rank 2, Cube3D v0.5"),
              HasSubstr("fine-tuned by low-rank adapters: rank 2"));
  EXPECT_THAT(told("fine-tuned from, public model", "out/model, Cube3D v0.5"),
              HasSubstr("fine-tuned without low-rank adapters"));
}

TEST_F(Info, NotesThatDoNotMatchAreNamed) {
  import();
  const std::string description = read_file_text(folder_ / "imported/public.yaml");
  write_file_atomically(folder_ / "imported/public.yaml",
                        std::string_view(description + "note_names: [lora]\n"));
  const Ending ending = run({"info", "bundle", "imported"});
  EXPECT_EQ(ending.code, exit_code(ErrorKind::input));
  EXPECT_THAT(ending.output, HasSubstr("imported/public.yaml': it has 1 note_names and 0 note_texts"));
}

}  // namespace
}  // namespace omni::tools
