#include "omni/sequence/task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

TEST(Task, BuiltInTasksAreSound) {
  for (const std::string& name : built_in_task_names()) {
    const Task task = built_in_task(name);
    EXPECT_EQ(task.name, name);
    EXPECT_NO_THROW(check_task(task)) << name;
    const auto conditions = std::count_if(task.segments.begin(), task.segments.end(),
                                          [](const TaskSegment& s) { return !s.loss; });
    EXPECT_EQ(task.joint_drop_rate > 0, conditions > 1) << name;
  }
}

TEST(Task, TheDesignsTasksExist) {
  for (const char* name :
       {"text->image", "image->text", "text->shape", "shape->text", "image->shape", "shape->image@view",
        "image@view->image@view", "text->image->shape", "text->image->shape->image@view", "shape+text->shape",
        "image+text->image", "image@view*2->shape"}) {
    EXPECT_NO_THROW(built_in_task(name)) << name;
  }
  EXPECT_TRUE(is_editing_task(built_in_task("shape+text->shape")));
  EXPECT_FALSE(is_editing_task(built_in_task("text->shape")));
}

TEST(Task, UnknownNamesSuggestTheNearest) {
  try {
    built_in_task("text->shap");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("text->shape"), std::string::npos);
  }
}

TEST(Task, OwnTasksComeBeforeBuiltInOnes) {
  const Task own{"text->shape", {{.loss = true}}};
  EXPECT_EQ(find_task("text->shape", {own}).segments.size(), 1u);
  EXPECT_EQ(find_task("image->shape", {own}).segments.size(), 2u);
  try {
    find_task("my tas", {{"my task", {{.loss = true}}}});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("\"my task\""), std::string::npos);
  }
}

TEST(Task, AnUnknownOneIsAnsweredWithAllThereAre) {
  try {
    find_task("sculpture", {{"my task", {{.loss = true}}}});
    ADD_FAILURE();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("my task"), std::string::npos) << message;
    for (const std::string& name : built_in_task_names()) {
      EXPECT_NE(message.find(name), std::string::npos) << message;
    }
  }
}

TEST(Task, MakesWhatCarriesLoss) {
  const Task task = built_in_task("text->image->shape");
  EXPECT_FALSE(makes(task, Modality::text));
  EXPECT_TRUE(makes(task, Modality::image));
  EXPECT_TRUE(makes(task, Modality::shape));
}

Task parse(const std::string& yaml) {
  Task task;
  ConfigFile::parse(yaml, "test").read([&](ConfigVisitor& v) { describe(v, task); });
  return resolve_task(task);
}

TEST(Task, ReadsFromYaml) {
  const Task task = parse(
      "name: mine\n"
      "segments:\n"
      "  - {modality: image, view: true, drop_rate: 0.25, source: before}\n"
      "  - {modality: text, drop_rate: 0.5}\n"
      "  - {modality: shape, loss: true}\n"
      "joint_drop_rate: 0.125\n");
  ASSERT_EQ(task.segments.size(), 3u);
  EXPECT_EQ(task.segments[0].modality, Modality::image);
  EXPECT_TRUE(task.segments[0].view);
  EXPECT_EQ(task.segments[0].drop_rate, 0.25);
  EXPECT_EQ(task.segments[0].source, "before");
  EXPECT_EQ(task.segments[2].modality, Modality::shape);
  EXPECT_TRUE(task.segments[2].loss);
  EXPECT_EQ(task.joint_drop_rate, 0.125);
}

TEST(Task, ANameAloneIsTheBuiltInTask) {
  EXPECT_EQ(parse("name: text->image->shape\n").segments.size(), 3u);
  EXPECT_THROW(parse("name: nonsense\n"), Error);
}

TEST(Task, RejectsTasksThatMakeNoSense) {
  EXPECT_THROW(parse("name: x\nsegments: [{modality: text}]\n"), Error);  // nothing learnt
  EXPECT_THROW(parse("name: x\nsegments: [{modality: text, loss: true, drop_rate: 0.5}]\n"), Error);
  EXPECT_THROW(parse("name: x\nsegments: [{modality: shape, loss: true, view: true}]\n"), Error);
  EXPECT_THROW(parse("name: x\nsegments: [{modality: video, loss: true}]\n"), Error);
  EXPECT_THROW(parse("name: x\nsegments: [{modality: text, loss: true, source: before}]\n"), Error);
  EXPECT_THROW(parse("name: x\nsegments: [{modality: text, loss: true, weight: 2}]\n"), Error);
}

TEST(Task, DropSharesFollowTheRates) {
  Task task = built_in_task("text+image->shape");
  task.segments[0].drop_rate = 0.2;
  task.segments[1].drop_rate = 0.4;
  task.joint_drop_rate = 0.1;
  constexpr int n = 20000;
  int text = 0, image = 0, both = 0;
  for (int i = 0; i < n; ++i) {
    CounterRng rng(1, static_cast<std::uint64_t>(i));
    const std::vector<bool> drops = draw_drops(task, rng);
    EXPECT_FALSE(drops[2]);
    text += drops[0];
    image += drops[1];
    both += drops[0] && drops[1];
  }
  const auto near = [&](int count, double p) { EXPECT_NEAR(count, n * p, 5 * std::sqrt(n * p * (1 - p))); };
  near(text, 1 - 0.8 * 0.9);
  near(image, 1 - 0.6 * 0.9);
  near(both, 0.1 + 0.9 * 0.2 * 0.4);
}

TEST(Modality, NamesRoundTrip) {
  for (const Modality modality : {Modality::text, Modality::image, Modality::shape}) {
    EXPECT_EQ(parse_modality(modality_name(modality)), modality);
  }
  EXPECT_THROW(parse_modality("sound"), Error);
}

}  // namespace
}  // namespace omni::sequence
