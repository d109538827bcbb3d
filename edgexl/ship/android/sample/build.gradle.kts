// Search as you type over the bundle, offline: `gradle :sample:installDebug`.
plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "{module}.sample"
    compileSdk = 35
    defaultConfig {
        applicationId = "{module}.sample"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "{version}"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
    // an asset that is stored as it is, is opened where it lies
    androidResources { noCompress += "exl" }
}

dependencies {
    implementation(project(":{name}"))
}
