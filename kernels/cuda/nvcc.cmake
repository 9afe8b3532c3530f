# Puts the backend cuda into vagus_kernels_built. nvcc is called by a command of our own and not as CMake's language CUDA:
# with that, CMake links every program that holds a kernel as C++, and the programs here need no libstdc++. So the
# kernels' host code does without exceptions, type information and guards of local statics.
execute_process(COMMAND ${VAGUS_NVCC} --version OUTPUT_VARIABLE version)
string(REGEX MATCH "release ([0-9]+[.][0-9]+)" version "${version}")
set(VAGUS_CUDA_VERSION ${CMAKE_MATCH_1})
if(NOT VAGUS_CUDA_VERSION VERSION_GREATER_EQUAL 12.0)
    message(FATAL_ERROR "${VAGUS_NVCC} is of CUDA '${VAGUS_CUDA_VERSION}'; 12.0 or newer is needed, or -DVAGUS_CUDA=OFF")
endif()
get_filename_component(toolkit ${VAGUS_NVCC} REALPATH)
get_filename_component(toolkit ${toolkit} DIRECTORY)
get_filename_component(toolkit ${toolkit} DIRECTORY)
find_path(VAGUS_CUDA_INCLUDE cuda_runtime_api.h HINTS ${toolkit}/include REQUIRED NO_DEFAULT_PATH)
find_library(VAGUS_CUDART cudart_static HINTS ${toolkit}/lib64 ${toolkit}/lib REQUIRED NO_DEFAULT_PATH)

set(flags -std=c++17 -I${PROJECT_SOURCE_DIR} -DVAGUS_CUDA
    -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-Wall,-Wextra)
if(VAGUS_WERROR)
    list(APPEND flags -Werror=all-warnings)
endif()
if(VAGUS_CUDA_VERSION VERSION_GREATER_EQUAL 12.9)
    list(APPEND flags -compress-mode=size) # layernorm.cu for five architectures: 2.0 MB instead of 12.6
endif()
separate_arguments(chosen UNIX_COMMAND "${VAGUS_NVCC_FLAGS}")

# Machine code of each architecture and, for those that the kernels are built for by default, PTX of the last: code
# for 90a alone does not run on anything newer.
list(SORT VAGUS_CUDA_ARCHITECTURES COMPARE NATURAL)
function(vagus_cuda_codes architectures out)
    list(GET architectures -1 last)
    set(codes "")
    foreach(architecture ${architectures})
        set(code sm_${architecture})
        if(architecture STREQUAL last AND architecture MATCHES "^[0-9]+$")
            set(code [${code},compute_${architecture}])
        endif()
        list(APPEND codes -gencode arch=compute_${architecture},code=${code})
    endforeach()
    set(${out} ${codes} PARENT_SCOPE)
endfunction()

foreach(source ${VAGUS_CUDA_SOURCES})
    get_filename_component(name ${source} NAME_WE)
    get_source_file_property(architectures ${source} VAGUS_CUDA_ARCHITECTURES)
    if(NOT architectures)
        set(architectures ${VAGUS_CUDA_ARCHITECTURES})
    endif()
    vagus_cuda_codes("${architectures}" codes)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.o)
    add_custom_command(OUTPUT ${object}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/cuda
        COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cuda/compile.sh ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.costs
            ${CMAKE_C_COMPILER_LAUNCHER} ${VAGUS_NVCC} -Xptxas=-v ${flags} ${chosen} ${codes}
            -MD -MF ${object}.d -c ${source} -o ${object}
        BYPRODUCTS ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.costs
        DEPENDS ${source} DEPFILE ${object}.d COMMENT "nvcc ${name}.cu" VERBATIM)
    list(APPEND objects ${object})
endforeach()
set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
add_library(vagus_kernels_cuda STATIC ${objects})
set_target_properties(vagus_kernels_cuda PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(vagus_kernels_cuda PUBLIC vagus_kernels PRIVATE ${VAGUS_CUDART} ${CMAKE_DL_LIBS} rt Threads::Threads)

# What knows of CUDA beside the kernels, and the runtime, inside of the library: the program starts where nothing of
# CUDA is installed, since the driver is opened by the runtime when it is first asked for.
string(REGEX REPLACE "[a-z]" "" numbers "${VAGUS_CUDA_ARCHITECTURES}")
list(JOIN numbers "," numbers)
add_library(vagus_backend_cuda OBJECT registry.c ${VAGUS_CUDA_C_SOURCES})
target_compile_definitions(vagus_backend_cuda PRIVATE
    VAGUS_CUDA "VAGUS_CUDA_BUILT_FOR=${numbers}" VAGUS_VERSION="${PROJECT_VERSION}")
target_include_directories(vagus_backend_cuda SYSTEM PRIVATE ${VAGUS_CUDA_INCLUDE})
if(VAGUS_CUDNN_INCLUDE)
    target_include_directories(vagus_backend_cuda SYSTEM PRIVATE ${VAGUS_CUDNN_INCLUDE})
endif()
target_link_libraries(vagus_backend_cuda PRIVATE vagus_flags)
target_sources(vagus_kernels_built INTERFACE $<TARGET_OBJECTS:vagus_backend_cuda>)
target_link_libraries(vagus_kernels_built INTERFACE vagus_kernels_cuda)

set_property(GLOBAL PROPERTY VAGUS_KERNELS_OBJECTS $<TARGET_OBJECTS:vagus_backend_cuda> ${objects})
set_property(GLOBAL PROPERTY VAGUS_CUDA_NEEDS ${VAGUS_CUDART} -ldl -lrt)
message(STATUS "CUDA ${VAGUS_CUDA_VERSION} (${VAGUS_NVCC}) for ${VAGUS_CUDA_ARCHITECTURES}")
