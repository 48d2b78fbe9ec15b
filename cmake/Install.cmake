# SPDX-License-Identifier: MIT
#
# Install.cmake - headers, libraries, tutti.pc, the CMake package and the gateway.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tutti)

install(DIRECTORY include/tutti DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
	FILES_MATCHING PATTERN "*.h")
set(libraries tutti tt_exported)
if(TARGET tutti_shared)
	list(APPEND libraries tutti_shared)
endif()
install(TARGETS ${libraries} EXPORT tutti)
install(EXPORT tutti NAMESPACE tutti:: DESTINATION ${package_dir} FILE tuttiTargets.cmake)
if(TARGET tutti-gateway)
	install(TARGETS tutti-gateway)
endif()

set(stack_clash "")
if(TT_HAVE_fstack_clash_protection)
	set(stack_clash "-fstack-clash-protection")
endif()
# Relative to the file itself, so that an installed tree can be moved. -Wjump-misses-init
# is not in it: only gcc knows the flag, and a .pc file does not know the compiler.
file(RELATIVE_PATH pc_to_prefix
	${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/tutti.pc.in ${PROJECT_BINARY_DIR}/tutti.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tutti.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/tuttiConfig.cmake.in
	${PROJECT_BINARY_DIR}/tuttiConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tuttiConfigVersion.cmake
	COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tuttiConfig.cmake
	${PROJECT_BINARY_DIR}/tuttiConfigVersion.cmake DESTINATION ${package_dir})
