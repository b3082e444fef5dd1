#include "slurm_lists.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

TEST(DistributedSlurmLists, FindsTheFirstHost) {
  const struct {
    const char *list, *first;
  } kCases[] = {
      {"node1", "node1"},
      {"node[003-005,9]", "node003"},
      {"node[9,003-005]", "node9"},
      {"node[12]", "node12"},
      {"a,b[1-2]", "a"},
      {"rack[1-2]-node[07-9].cluster,x", "rack1-node07.cluster"},
      {"gpu-a_1.example.org", "gpu-a_1.example.org"},
      {"10.0.0.[5-8]", "10.0.0.5"},
  };
  for (const auto& one : kCases) EXPECT_EQ(first_host(one.list, "NODES"), one.first) << one.list;
  for (const char* list : {"", ",a", "node[", "node[]", "node[a-b]", "node[-3]", "node[1", "node[1;2]", "a b",
                           "node]1", "$(reboot)"})
    EXPECT_THROW(first_host(list, "NODES"), Error) << list;
  EXPECT_THROW(first_host(std::string(1000, 'a'), "NODES"), Error);
}

TEST(DistributedSlurmLists, CountsTheTasksOfANode) {
  EXPECT_EQ(count_of_node("8", 0, "TASKS"), 8);
  EXPECT_EQ(count_of_node("4(x2),3", 0, "TASKS"), 4);
  EXPECT_EQ(count_of_node("4(x2),3", 1, "TASKS"), 4);
  EXPECT_EQ(count_of_node("4(x2),3", 2, "TASKS"), 3);
  EXPECT_EQ(count_of_node("1,2(x1000000000),7", 1000000001, "TASKS"), 7);
  for (const char* list :
       {"", "x", "4(", "4(x", "4(x2", "4(x0)", "0", "-1", "4;3", "4(x2)3", "4,", "99999999999"})
    EXPECT_THROW(count_of_node(list, 2147483647, "TASKS"), Error) << list;
}

}  // namespace
}  // namespace omni::distributed
