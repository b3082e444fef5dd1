# What tools/package.sh packs: the program, tests and benchmarks once more, linked from the objects of their own
# targets over one shared libomni.so, so that the archive holds the rooms once. No run paths: the archive's launcher
# says where libraries lie.
set(_package "${CMAKE_BINARY_DIR}/package")

add_library(omni_shared SHARED EXCLUDE_FROM_ALL)
foreach(_room ${OMNI_ROOMS})
  target_sources(omni_shared PRIVATE $<TARGET_OBJECTS:omni_${_room}>)
  target_link_libraries(omni_shared PUBLIC $<TARGET_PROPERTY:omni_${_room},INTERFACE_LINK_LIBRARIES>)
endforeach()
set_target_properties(omni_shared PROPERTIES OUTPUT_NAME omni LINKER_LANGUAGE CXX
  LIBRARY_OUTPUT_DIRECTORY "${_package}/lib" SKIP_BUILD_RPATH ON)
# Calls inside the library stay there, as in the program.
target_link_options(omni_shared PRIVATE "LINKER:-Bsymbolic-functions")

add_custom_target(package_program ALL)
add_custom_target(package_tests)

# omni_package(<target of an executable> <package_program or package_tests> <folder in the archive>)
function(omni_package target group folder)
  get_target_property(_name ${target} OUTPUT_NAME)
  if(NOT _name)
    set(_name ${target})
  endif()
  add_executable(packaged_${target} EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${target}>)
  target_link_libraries(packaged_${target} PRIVATE omni_shared ${ARGN})
  set_target_properties(packaged_${target} PROPERTIES OUTPUT_NAME ${_name} LINKER_LANGUAGE CXX
    RUNTIME_OUTPUT_DIRECTORY "${_package}/${folder}" SKIP_BUILD_RPATH ON)
  add_dependencies(${group} packaged_${target})
endfunction()

omni_package(omni_program package_program libexec)
target_sources(packaged_omni_program PRIVATE $<TARGET_OBJECTS:omni_commands>)
add_dependencies(package_program omni_program)
if(OMNI_TESTS)
  # The rooms with tests that need a GPU.
  foreach(_room kernels model generation distributed training)
    omni_package(test_${_room} package_tests libexec/tests GTest::gtest GTest::gmock GTest::gtest_main)
  endforeach()
  foreach(_benchmark train_step decode_batch decode_token)
    omni_package(benchmark_${_benchmark} package_tests libexec/benchmarks)
  endforeach()
  foreach(_benchmark ${OMNI_KERNEL_BENCHMARKS})
    omni_package(${_benchmark} package_tests libexec/benchmarks/kernels)
  endforeach()
endif()
