/*
 * raytrace TERRAIN [WINDOW]: Tachyon draws a terrain of triangles with mirroring balls above it, in two threads. The
 * first picture is the warm-up, the others are measured, each seen from another place. Prints the pictures' checksum.
 *
 * TERRAIN is a file of SIDE x SIDE heights, a byte each.
 */
#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tachyon.h>

#define SIDE	257
#define WIDTH	320
#define HEIGHT	240
#define PICTURES	3
#define THREADS	2
#define BALLS	150

static unsigned char heights[SIDE][SIDE];
static unsigned char picture[HEIGHT * WIDTH * 3];

static apitexture matter(apicolor color, double specular)
{
	apitexture texture = {
		.col = color, .shadowcast = 1, .ambient = 0.1, .diffuse = 0.9 - specular, .specular = specular, .opacity = 1.0,
	};

	return texture;
}

/* The height at a corner, or at the border's nearest. */
static double height(int x, int y)
{
	x = x < 0 ? 0 : x >= SIDE ? SIDE - 1 : x;
	y = y < 0 ? 0 : y >= SIDE ? SIDE - 1 : y;
	return heights[y][x] / 8.0;
}

static apivector corner(int x, int y)
{
	return rt_vector(x, height(x, y), y);
}

static apivector normal(int x, int y)
{
	double east = height(x + 1, y) - height(x - 1, y), north = height(x, y + 1) - height(x, y - 1);
	double length = sqrt(east * east + north * north + 4);

	return rt_vector(-east / length, 2 / length, -north / length);
}

static void triangle(SceneHandle scene, void *texture, const int (*at)[2])
{
	apivector corners[3], normals[3];

	for (int i = 0; i < 3; i++) {
		corners[i] = corner(at[i][0], at[i][1]);
		normals[i] = normal(at[i][0], at[i][1]);
	}
	rt_stri(scene, texture, corners[0], corners[1], corners[2], normals[0], normals[1], normals[2]);
}

static void terrain(SceneHandle scene)
{
	apitexture grass = matter(rt_color(0.3, 0.6, 0.2), 0.0), rock = matter(rt_color(0.6, 0.5, 0.4), 0.1);
	void *low = rt_texture(scene, &grass), *high = rt_texture(scene, &rock);

	for (int y = 0; y + 1 < SIDE; y++)
		for (int x = 0; x + 1 < SIDE; x++) {
			void *texture = heights[y][x] < 120 ? low : high;
			const int first[3][2] = { { x, y }, { x, y + 1 }, { x + 1, y } };
			const int second[3][2] = { { x + 1, y + 1 }, { x + 1, y }, { x, y + 1 } };

			triangle(scene, texture, first);
			triangle(scene, texture, second);
		}
}

static void balls(SceneHandle scene)
{
	apitexture mirror = matter(rt_color(0.8, 0.8, 0.9), 0.6);
	void *texture = rt_texture(scene, &mirror);
	unsigned int number = 1;

	for (int ball = 0; ball < BALLS; ball++) {
		int x, y;

		number = number * 1664525 + 1013904223;
		x = number >> 24;
		number = number * 1664525 + 1013904223;
		y = number >> 24;
		rt_sphere(scene, texture, rt_vector(x, height(x, y) + 5, y), 3 + ball % 4);
	}
}

static SceneHandle scene_of_terrain(void)
{
	apitexture white = matter(rt_color(1, 1, 1), 0.0);
	SceneHandle scene = rt_newscene();

	rt_set_numthreads(scene, THREADS);
	rt_resolution(scene, WIDTH, HEIGHT);
	rt_rawimage_rgb24(scene, picture);
	rt_background(scene, rt_color(0.5, 0.7, 1.0));
	rt_camera_projection(scene, RT_PROJECTION_PERSPECTIVE);
	rt_camera_raydepth(scene, 4);
	rt_light(scene, rt_texture(scene, &white), rt_vector(-200, 400, -100), 1);
	rt_light(scene, rt_texture(scene, &white), rt_vector(400, 300, 100), 1);
	terrain(scene);
	balls(scene);
	return scene;
}

/* Draws the terrain from the place of this number. */
static void draw(SceneHandle scene, int number)
{
	double angle = 0.7 * number;
	apivector place = rt_vector(128 + 120 * cos(angle), 60, 128 + 120 * sin(angle));

	rt_camera_position(scene, place, rt_vector(-cos(angle), -0.4, -sin(angle)), rt_vector(0, 1, 0));
	rt_renderscene(scene);
}

int main(int argc, char **argv)
{
	int window = argc > 2 ? atoi(argv[2]) : 0;
	FILE *file = fopen(argc > 1 ? argv[1] : "", "r");
	uint64_t sum = SUM_START;
	SceneHandle scene;

	must(file && fread(heights, sizeof(heights), 1, file) == 1, "the file with the terrain");
	rt_initialize(&argc, &argv);
	scene = scene_of_terrain();
	draw(scene, 0);
	if (window)
		measure_settle();
	measure_begin(window);
	for (int number = 1; number <= PICTURES; number++) {
		draw(scene, number);
		sum = sum_of(sum, picture, sizeof(picture));
	}
	measure_end(window, "raytrace", PICTURES);
	printf("result %016lx\n", (unsigned long)sum);
	return 0;
}
