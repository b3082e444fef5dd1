# cmake "-DTEST=<program>" "-DFILTER=<GoogleTest's filter>" "-DNAME=<prefix>" "-DINTO=<file>" -P list_suites.cmake: writes
# what gives ctest one test for each suite of the program. Loading LibTorch takes longer than most cases do, so a process
# for each case would spend most of its time on that.
execute_process(COMMAND "${TEST}" --gtest_list_tests "--gtest_filter=${FILTER}" OUTPUT_VARIABLE _listed
  RESULT_VARIABLE _result TIMEOUT 120)
if(NOT _result EQUAL 0)
  message(FATAL_ERROR "${TEST} --gtest_list_tests ended with ${_result}:\n${_listed}")
endif()
get_filename_component(_folder "${TEST}" DIRECTORY)
# A suite's line is "Name." or "Name/0.  # TypeParam = float"; those of its cases are indented.
string(REGEX MATCHALL "(^|\n)[A-Za-z_][A-Za-z0-9_/]*\\.[ \n]" _lines "${_listed}")
set(_tests "")
foreach(_line IN LISTS _lines)
  string(REGEX REPLACE "[. \n]" "" _suite "${_line}")
  string(APPEND _tests "add_test([[${NAME}.${_suite}]] [[${TEST}]] [[--gtest_filter=${_suite}.*]])\n")
  # Only the last line says that a case was skipped and none failed: ctest would take a failed suite for a skipped one.
  string(APPEND _tests "set_tests_properties([[${NAME}.${_suite}]] PROPERTIES LABELS fast TIMEOUT 600\n"
    "  WORKING_DIRECTORY [[${_folder}]] SKIP_REGULAR_EXPRESSION \"\\\\[  SKIPPED \\\\] [^\\n]*[\\n]*$\")\n")
endforeach()
file(WRITE "${INTO}" "${_tests}")
