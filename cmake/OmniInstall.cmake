# One library, libomni.a, made of every room's objects, and a package file for find_package(omni).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(omni STATIC)
add_library(omni::omni ALIAS omni)
foreach(_room ${OMNI_ROOMS})
  target_sources(omni PRIVATE $<TARGET_OBJECTS:omni_${_room}>)
endforeach()
set_target_properties(omni PROPERTIES LINKER_LANGUAGE CXX EXCLUDE_FROM_ALL FALSE)

# For programs of this build that use the library as an outside program would.
add_library(omni_with_dependencies INTERFACE)
target_link_libraries(omni_with_dependencies INTERFACE omni)
foreach(_room ${OMNI_ROOMS})
  target_link_libraries(omni_with_dependencies INTERFACE $<TARGET_PROPERTY:omni_${_room},INTERFACE_LINK_LIBRARIES>)
endforeach()

set(_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/omni")
configure_package_config_file(cmake/omniConfig.cmake.in "${CMAKE_BINARY_DIR}/omniConfig.cmake" INSTALL_DESTINATION "${_cmake_dir}"
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${CMAKE_BINARY_DIR}/omniConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(TARGETS omni ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(PROGRAMS "$<TARGET_FILE:omni_program>" DESTINATION "${CMAKE_INSTALL_BINDIR}" RENAME omni)
install(DIRECTORY include/omni DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${CMAKE_BINARY_DIR}/omniConfig.cmake" "${CMAKE_BINARY_DIR}/omniConfigVersion.cmake" cmake/FindLibTorch.cmake
  DESTINATION "${_cmake_dir}")
# What `omni sample` takes where no model is named.
install(DIRECTORY models/tiny DESTINATION "${CMAKE_INSTALL_DATADIR}/omni/models")
# The installed program finds LibTorch where it was built against it.
set_target_properties(omni_program PROPERTIES INSTALL_RPATH "${LIBTORCH_ROOT}/lib")
