# SPDX-License-Identifier: MIT
#
# Fuzz.cmake - with TT_FUZZ, every X_fuzz.c (or .cc) becomes a libFuzzer program.
if(NOT TT_FUZZ)
	return()
endif()

# tt_fuzz(<folder> <libraries...>)
function(tt_fuzz folder)
	file(GLOB files CONFIGURE_DEPENDS
		${PROJECT_SOURCE_DIR}/${folder}/*_fuzz.c ${PROJECT_SOURCE_DIR}/${folder}/*_fuzz.cc)
	foreach(file IN LISTS files)
		get_filename_component(target ${file} NAME_WE)
		add_executable(${target} ${file})
		target_link_libraries(${target} PRIVATE ${ARGN} tt_flags m)
		target_include_directories(${target} PRIVATE ${tt_include_dirs})
		target_link_options(${target} PRIVATE -fsanitize=fuzzer)
	endforeach()
endfunction()

foreach(layer IN LISTS TT_LAYERS)
	tt_fuzz(src/${layer} tutti)
endforeach()
foreach(adapter IN LISTS TT_ADAPTERS)
	tt_fuzz(ext/${adapter} tutti-ext-${adapter} tutti)
endforeach()
if(TT_GATEWAY)
	include_directories(SYSTEM ${SIMDJSON_INCLUDE})
	tt_fuzz(apps/gateway tutti_gateway_core)
endif()
