// What a later stage tells of the tasks of earlier ones.
#include <gmock/gmock.h>

#include <cmath>

#include "caption_world.h"
#include "omni/training/trainer.h"

namespace omni::training {
namespace {

class EarlierTasks : public CaptionWorld {
 protected:
  StageConfig config() const {
    StageConfig c = CaptionWorld::config("run");
    c.custom_tasks.push_back({"again", {{.modality = sequence::Modality::text, .loss = true}}});
    c.earlier_tasks = {"captions"};
    c.steps = 6;
    return c;
  }
};

TEST_F(EarlierTasks, KeepWhatTheyWereThroughAStop) {
  StageConfig c = config();
  const std::vector<EarlierLoss> first = run_stage(c, {}).earlier_losses;
  c.steps = 9;
  const std::vector<EarlierLoss> second = run_stage(c, {.run = {.resume = Resume::yes}}).earlier_losses;
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].before, first[0].before);
  EXPECT_NE(second[0].after, first[0].after);
}

// With another list other objects are shown of each task, so that what was measured before the first step tells nothing.
TEST_F(EarlierTasks, OfAnotherListHaveNoLossBefore) {
  StageConfig c = config();
  run_stage(c, {});
  c.earlier_tasks = {"captions", "again"};
  for (const std::int64_t steps : {7, 8}) {  // also where the changed run is resumed once more
    c.steps = steps;
    const std::vector<EarlierLoss> losses =
        run_stage(c, {.run = {.resume = Resume::yes, .allowed_changes = {"earlier_tasks"}}}).earlier_losses;
    ASSERT_EQ(losses.size(), 2u);
    for (const EarlierLoss& loss : losses) {
      EXPECT_TRUE(std::isnan(loss.before)) << loss.task << " after " << steps;
      EXPECT_TRUE(std::isfinite(loss.after)) << loss.task;
    }
  }
}

}  // namespace
}  // namespace omni::training
